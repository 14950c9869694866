//! From a configuration to a client: who asks, where, and in which style.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};

use super::retry::Budget;
use super::{S3Options, S3Store};
use crate::object_store::key::is_key;
use crate::object_store::{ErrorKind, ObjectStore, StorageError};

/// Where a server of somebody else's is asked, any region will do; this is what S3-compatible servers expect.
const ANY_REGION: &str = "us-east-1";

/// Opens `bucket/prefix`. Configuration files are read; no server is asked, but for a machine's role where nothing names a region.
pub(in crate::object_store) async fn open(
    place: &str,
    options: &S3Options,
) -> Result<Arc<dyn ObjectStore>, StorageError> {
    Ok(Arc::new(connect(place, options).await?))
}

/// The same, as what it is.
pub(super) async fn connect(place: &str, options: &S3Options) -> Result<S3Store, StorageError> {
    let invalid = |hint: &str| {
        let attempt = format!("use \"s3://{}\" as a repository", shown(place));
        StorageError::new(ErrorKind::Invalid, "", attempt).hint(hint)
    };
    let (bucket, prefix) = split(place).map_err(invalid)?;
    if let Some(endpoint) = &options.endpoint {
        check_endpoint(endpoint).map_err(invalid)?;
    }
    let shared = loader(options).load().await;
    if shared.region().is_none() {
        return Err(invalid("no region: set `region`, AWS_REGION, or the profile's region"));
    }
    let own_endpoint = shared.endpoint_url().is_some();
    let location = shared.region().map(ToString::to_string);
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(options.path_style.unwrap_or(own_endpoint))
        // The payload hash is signed in any case; trailing checksums are what compatible servers trip over.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Ok(S3Store {
        client: aws_sdk_s3::Client::from_conf(config),
        bucket: bucket.to_owned(),
        prefix,
        location: location.filter(|region| !own_endpoint && region != ANY_REGION),
        patience: options.patience,
        relies: Mutex::default(),
        budget: Budget::default(),
        answered: AtomicBool::new(false),
        pace: OnceLock::new(),
    })
}

fn loader(options: &S3Options) -> aws_config::ConfigLoader {
    let timeouts = TimeoutConfig::builder().connect_timeout(options.patience.connect);
    let stalls = StalledStreamProtectionConfig::enabled().grace_period(options.patience.stall);
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .stalled_stream_protection(stalls.build());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(endpoint) = &options.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    } else if options.endpoint.is_some() {
        loader = loader.region(named_region(options.profile.as_deref()));
    }
    if let Some(who) = &options.credentials {
        let (id, secret, token) = (&who.access_key_id, &who.secret_access_key, who.session_token.clone());
        loader = loader.credentials_provider(aws_sdk_s3::config::Credentials::new(id, secret, token, None, "muster"));
    }
    loader
}

fn named_region(profile: Option<&str>) -> RegionProviderChain {
    let mut from_profile = ProfileFileRegionProvider::builder();
    if let Some(profile) = profile {
        from_profile = from_profile.profile_name(profile);
    }
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(from_profile.build())
        .or_else(Region::new(ANY_REGION))
}

/// The bucket, and the prefix with its final slash.
fn split(place: &str) -> Result<(&str, String), &'static str> {
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) || bucket.contains("..") {
        return Err("it is s3://BUCKET/PREFIX, and a bucket's name has 3 to 63 letters, digits, dots and hyphens");
    }
    match prefix.trim_end_matches('/') {
        "" => Ok((bucket, String::new())),
        prefix if is_key(prefix) && prefix.len() <= 256 => Ok((bucket, format!("{prefix}/"))),
        _ => Err("its prefix is at most 256 printable ASCII characters without empty, `.` or `..` components"),
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), &'static str> {
    let host = endpoint
        .strip_prefix("https://")
        .or_else(|| endpoint.strip_prefix("http://"));
    match host {
        None | Some("") => Err("its endpoint begins with https:// or http://"),
        Some(host) if host.contains('@') => {
            Err("an endpoint holds no user or password: use AWS_ACCESS_KEY_ID or a profile")
        }
        Some(host) if host.contains(['?', '#', ' ']) => Err("its endpoint is a plain URL without query"),
        Some(_) => Ok(()),
    }
}

/// A place without what may be a password.
fn shown(place: &str) -> &str {
    place.rsplit_once('@').map_or(place, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_bucket_and_a_prefix() {
        assert_eq!(split("backups"), Ok(("backups", String::new())));
        assert_eq!(split("backups/"), Ok(("backups", String::new())));
        assert_eq!(split("my.backups/a/b/"), Ok(("my.backups", "a/b/".to_owned())));
        for bad in [
            "",
            "ab",
            "/x",
            "user:pw@backups",
            "back ups/x",
            "backups/../x",
            "backups//x",
            "backups/ü",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_endpoint_is_a_plain_url() {
        for good in [
            "http://127.0.0.1:9000",
            "https://s3.example.org",
            "https://example.org/s3",
        ] {
            assert_eq!(check_endpoint(good), Ok(()));
        }
        for bad in [
            "",
            "127.0.0.1:9000",
            "ftp://x",
            "https://",
            "https://me:secret@example.org",
            "https://x?y",
        ] {
            assert!(check_endpoint(bad).is_err(), "{bad}");
        }
    }
}
