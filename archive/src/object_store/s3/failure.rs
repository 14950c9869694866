//! What a server's refusal or silence means: which kind of error it is, whether asking again helps, and what the user can do.

use std::error::Error;
use std::time::Duration;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::object_store::{ErrorKind, StorageError};

/// One call that failed.
#[derive(Debug)]
pub(super) struct Failure {
    kind: ErrorKind,
    /// Whether the same call may succeed soon.
    pub(super) again: bool,
    /// Whether a server answered at all.
    pub(super) answered: bool,
    /// Whether it was given up because nothing came.
    pub(super) silent: bool,
    /// Whether some of what was asked for came before it broke off.
    pub(super) progressed: bool,
    /// What the server calls it; empty where it did not say.
    code: String,
    /// How long the server asks to wait.
    pub(super) pause: Option<Duration>,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What the server said, in one line.
#[derive(Debug, thiserror::Error)]
#[error("HTTP {status}{}{}{}", led(" ", code), led(": ", message), request.as_ref().map(|id| format!(" (request {id})")).unwrap_or_default())]
struct Answer {
    status: u16,
    code: String,
    message: String,
    request: Option<String>,
}

fn led(by: &str, text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{by}{text}")
    }
}

impl Failure {
    pub(super) fn new(kind: ErrorKind) -> Self {
        Self {
            kind,
            again: false,
            answered: true,
            silent: false,
            progressed: false,
            code: String::new(),
            pause: None,
            hint: None,
            source: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Some of what was asked for came before it, or nothing did.
    pub(super) fn after_progress(self, progressed: bool) -> Self {
        Self { progressed, ..self }
    }

    pub(super) fn with_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn has_hint(&self) -> bool {
        self.hint.is_some()
    }

    /// No answer, or not the rest of it, in all this time.
    pub(super) fn silence(limit: Duration) -> Self {
        let source = format!("nothing came for {} s", limit.as_secs_f64());
        Self {
            again: true,
            answered: false,
            silent: true,
            source: Some(source.into()),
            ..Self::new(ErrorKind::Unreachable)
        }
    }

    /// A body that broke off.
    pub(super) fn broken(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            again: true,
            source: Some(source.into()),
            ..Self::new(ErrorKind::Unreachable)
        }
    }

    /// What the SDK reports.
    pub(super) fn from_sdk<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|raw| raw.status().as_u16());
        let unanswered = |again, source: Box<dyn Error + Send + Sync>| Self {
            again,
            answered: false,
            source: Some(source),
            ..Self::new(ErrorKind::Unreachable)
        };
        match (error, status) {
            (SdkError::ServiceError(said), Some(status)) => {
                let header = |name| said.raw().headers().get(name).map(str::to_owned);
                let (pause, region) = (header("retry-after"), header("x-amz-bucket-region"));
                let answer = Answer {
                    status,
                    code: said.err().code().unwrap_or_default().to_owned(),
                    message: said.err().message().unwrap_or_default().to_owned(),
                    request: header("x-amz-request-id"),
                };
                let mut failure = Self::from_answer(&answer, region.as_deref());
                failure.code.clone_from(&answer.code);
                failure.pause = pause.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
                failure.source = Some(Box::new(answer));
                failure
            }
            (SdkError::ConstructionFailure(failure), _) => {
                from_chain(SdkError::<E, HttpResponse>::ConstructionFailure(failure))
            }
            (SdkError::DispatchFailure(failure), _) => {
                let transport = failure.is_io() || failure.is_timeout() || failure.as_other().is_some();
                let error = SdkError::<E, HttpResponse>::DispatchFailure(failure);
                if transport {
                    trusted_or_not(unanswered(true, without_frame(error)))
                } else {
                    from_chain(error)
                }
            }
            (error, _) => unanswered(true, without_frame(error)),
        }
    }

    fn from_answer(answer: &Answer, region: Option<&str>) -> Self {
        use ErrorKind as Kind;
        let retried = |kind| Self {
            again: true,
            ..Self::new(kind)
        };
        match (answer.code.as_str(), answer.status) {
            ("NoSuchBucket", _) => Self::new(Kind::NoContainer).hint("`muster init` makes the bucket where it may"),
            ("NoSuchKey" | "NotFound", 404) => Self::new(Kind::NotFound),
            ("PreconditionFailed", _) | (_, 412) => Self::new(Kind::AlreadyExists),
            ("InvalidRange", _) | (_, 416) => Self::new(Kind::Truncated),
            ("RequestTimeTooSkewed" | "RequestExpired", _) => Self::new(Kind::Denied)
                .hint("this machine's clock and the server's are more than 15 minutes apart: set the clock"),
            ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired", _) => {
                Self::new(Kind::Denied).hint("the credentials have expired: renew them")
            }
            ("InvalidAccessKeyId" | "InvalidToken", _) => {
                Self::new(Kind::Denied).hint("the server does not know this access key")
            }
            ("SignatureDoesNotMatch", _) => {
                Self::new(Kind::Denied).hint("the secret access key does not belong to this access key")
            }
            ("QuotaExceeded" | "XMinioStorageFull" | "InsufficientCapacity" | "StorageFull", _) | (_, 507) => {
                Self::new(Kind::NoSpace)
                    .hint("the bucket's or the account's quota is used up, or the server is full: raise it")
            }
            ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _)
            | (_, 301 | 307 | 308) => Self::new(Kind::Invalid).hint(match region {
                Some(region) => format!("the bucket is in region {region}: set `region`"),
                None => {
                    "the bucket is in another region, or the endpoint is wrong: set `region` or `endpoint`".to_owned()
                }
            }),
            ("BucketAlreadyExists", _) => {
                Self::new(Kind::Denied).hint("a bucket of this name belongs to somebody else")
            }
            ("InvalidBucketName", _) => Self::new(Kind::Invalid).hint("the server does not take this bucket name"),
            (_, 401 | 403) => Self::new(Kind::Denied),
            ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests", _)
            | ("ConditionalRequestConflict" | "OperationAborted", _)
            | (_, 429) => retried(Kind::Throttled)
                .hint("it asks to be asked less: lower `[limits] upload`, or run it when less is going on"),
            // The body did not arrive as it was sent.
            ("BadDigest" | "XAmzContentSHA256Mismatch" | "IncompleteBody" | "RequestTimeout", _) | (_, 408) => {
                retried(Kind::Unreachable)
            }
            (_, 500 | 502 | 503 | 504) => {
                retried(Kind::Unreachable).hint("the server has trouble of its own: look after it, then run it again")
            }
            (_, 404) => Self::new(Kind::Other)
                .hint("this is not S3's way to say that an object is missing: is the endpoint an S3 server?"),
            _ => Self::new(Kind::Other),
        }
    }

    /// The error that the caller sees.
    pub(super) fn of(self, key: &str, attempt: &str, tries: u32) -> StorageError {
        let attempt = if tries > 1 {
            format!("{attempt} ({tries} tries)")
        } else {
            attempt.to_owned()
        };
        let mut error = StorageError::new(self.kind, key, attempt);
        error.hint = self.hint;
        match self.source {
            Some(source) => error.caused_by(source),
            None => error,
        }
    }
}

/// What failed before anything was sent: most often there is nobody to sign for.
fn from_chain<E>(error: SdkError<E, HttpResponse>) -> Failure
where
    E: Error + Send + Sync + 'static,
{
    let mut credentials = false;
    let mut link: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(cause) = link {
        credentials |= cause.to_string().contains("credential");
        link = cause.source();
    }
    let source = Some(without_frame(error));
    if credentials {
        let hint = "no usable credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or `profile`";
        return Failure {
            source,
            answered: false,
            ..Failure::new(ErrorKind::Denied)
        }
        .hint(hint);
    }
    trusted_or_not(Failure {
        source,
        answered: false,
        ..Failure::new(ErrorKind::Unreachable)
    })
}

/// A certificate that is not believed will not be believed a second later.
fn trusted_or_not(failure: Failure) -> Failure {
    let mut link = failure.source.as_deref().map(|source| source as &(dyn Error + 'static));
    while let Some(cause) = link {
        if cause.to_string().contains("certificate") {
            let hint = "the server's certificate is not trusted here: name its authority in SSL_CERT_FILE";
            return Failure {
                again: false,
                ..failure
            }
            .hint(hint);
        }
        link = cause.source();
    }
    failure
}

/// The cause without the SDK's own outer words ("dispatch failure"), which tell a user nothing.
fn without_frame<E>(error: SdkError<E, HttpResponse>) -> Box<dyn Error + Send + Sync>
where
    E: Error + Send + Sync + 'static,
{
    error.into_source().unwrap_or_else(|error| Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do_and_only_a_passing_one_is_asked_again() {
        use ErrorKind::{
            AlreadyExists, Denied, Invalid, NoContainer, NoSpace, NotFound, Other, Throttled, Truncated, Unreachable,
        };
        let cases = [
            ("NoSuchKey", 404, NotFound, false, ""),
            ("NoSuchBucket", 404, NoContainer, false, "muster init"),
            ("", 404, Other, false, "endpoint"),
            ("PreconditionFailed", 412, AlreadyExists, false, ""),
            ("ConditionalRequestConflict", 409, Throttled, true, "asked less"),
            ("InvalidRange", 416, Truncated, false, ""),
            ("AccessDenied", 403, Denied, false, ""),
            ("RequestTimeTooSkewed", 403, Denied, false, "clock"),
            ("ExpiredToken", 400, Denied, false, "expired"),
            ("InvalidAccessKeyId", 403, Denied, false, "access key"),
            ("SignatureDoesNotMatch", 403, Denied, false, "secret"),
            ("QuotaExceeded", 403, NoSpace, false, "quota"),
            ("PermanentRedirect", 301, Invalid, false, "region"),
            ("SlowDown", 503, Throttled, true, "limits"),
            ("", 429, Throttled, true, "limits"),
            ("InternalError", 500, Unreachable, true, "trouble"),
            ("", 503, Unreachable, true, "trouble"),
            ("", 507, NoSpace, false, "quota"),
            ("XAmzContentSHA256Mismatch", 400, Unreachable, true, ""),
            ("NotImplemented", 501, Other, false, ""),
            ("InvalidArgument", 400, Other, false, ""),
        ];
        for (code, status, kind, again, hint) in cases {
            let answer = Answer {
                status,
                code: code.to_owned(),
                message: String::new(),
                request: None,
            };
            let failure = Failure::from_answer(&answer, None);
            assert_eq!((failure.kind, failure.again), (kind, again), "{status} {code}");
            let error = failure.of("packs/x", "read packs/x", 1);
            assert!(
                error.to_string().contains(hint) && (!hint.is_empty() || error.hint.is_none()),
                "{error}"
            );
        }
        let moved = Answer {
            status: 301,
            code: String::new(),
            message: String::new(),
            request: None,
        };
        let error = Failure::from_answer(&moved, Some("eu-central-1")).of("", "list", 1);
        assert!(error.to_string().contains("eu-central-1"), "{error}");
    }

    #[test]
    fn an_answer_reads_as_one_line() {
        let (code, message) = ("AccessDenied".to_owned(), "No.".to_owned());
        let full = Answer {
            status: 403,
            code,
            message,
            request: Some("tx1".to_owned()),
        };
        assert_eq!(full.to_string(), "HTTP 403 AccessDenied: No. (request tx1)");
        let bare = Answer {
            status: 403,
            code: String::new(),
            message: String::new(),
            request: None,
        };
        assert_eq!(bare.to_string(), "HTTP 403");
    }
}
