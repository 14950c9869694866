//! From what stands in a configuration to a place that holds objects.

use std::path::PathBuf;
use std::sync::Arc;

use super::s3::S3Options;
use super::{ErrorKind, LocalStore, ObjectStore, StorageError};

/// Opens `file:///absolute/path` or `s3://bucket/prefix`. Nothing is asked of the place yet: a wrong password or a missing bucket
/// shows with the first operation. An address that cannot be right is [`ErrorKind::Invalid`].
pub async fn open(url: &str, options: &S3Options) -> Result<Arc<dyn ObjectStore>, StorageError> {
    let invalid =
        |hint: &str| Err(StorageError::new(ErrorKind::Invalid, "", format!("use {url:?} as a repository")).hint(hint));
    match url.split_once("://") {
        Some(("file", path)) if path.starts_with('/') => match decoded(path) {
            Some(path) => Ok(Arc::new(LocalStore::new(path)?)),
            None => invalid("`%` in a file URL is followed by two hex digits; a percent sign itself is %25"),
        },
        Some(("file", _)) => invalid("a file URL has three slashes and an absolute path: file:///mnt/backup"),
        Some(("s3", place)) => super::s3::open(place, options).await,
        _ => invalid("it begins with file:/// or s3://"),
    }
}

/// A URL's path with its percent-escapes resolved.
fn decoded(path: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut parts = path.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    (!bytes.contains(&0)).then(|| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_url_is_an_absolute_path() {
        assert_eq!(decoded("/mnt/my%20disk"), Some("/mnt/my disk".into()));
        assert_eq!(decoded("/mnt/my disk/ü"), Some("/mnt/my disk/ü".into()));
        for bad in ["/a%", "/a%2", "/a%zz", "/a%00", "/a%+1"] {
            assert_eq!(decoded(bad), None, "{bad}");
        }
    }
}
