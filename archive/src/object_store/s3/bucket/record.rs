//! What went over the wire for one question: the bytes that the facts were read out of, and who spoke.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// One exchange.
#[derive(Default)]
pub(super) struct Exchange {
    pub(super) status: Option<u16>,
    pub(super) body: Option<Vec<u8>>,
    /// The access key id that signed the request.
    pub(super) asker: Option<String>,
    /// What the server calls itself.
    pub(super) server: Option<String>,
    /// The scheme of the request's URL.
    pub(super) transport: Option<String>,
}

/// Listens to one exchange.
#[derive(Clone, Default)]
pub(super) struct Recorder(Arc<Mutex<Exchange>>);

impl Recorder {
    /// The status of the answer; none where there was no answer.
    pub(super) fn status(&self) -> Option<u16> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).status
    }

    /// What was heard.
    pub(super) fn taken(&self) -> Exchange {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request holds a signature, which belongs into no log.
impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder(…)")
    }
}

impl Intercept for Recorder {
    fn name(&self) -> &'static str {
        "what was asked and answered"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let signed = request.headers().get("authorization").unwrap_or_default();
        let asker = signed
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split('/').next());
        let mut exchange = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.asker = asker.map(str::to_owned);
        exchange.transport = request.uri().split_once("://").map(|(scheme, _)| scheme.to_owned());
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let mut exchange = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.status = Some(response.status().as_u16());
        exchange.body = response.body().bytes().map(<[u8]>::to_vec);
        exchange.server = response.headers().get("server").map(str::to_owned);
        Ok(())
    }
}
