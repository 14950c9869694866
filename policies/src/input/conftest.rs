//! Configurations as Conftest takes them: one value per path, the format told by the name or by `--parser` alone.
//!
//! Formats that Conftest does not have (`postgresql.conf`, `pg_hba.conf`, …) are not told by names here, and the first file that cannot
//! be read or parsed is an error with the words that Conftest has for it.

use serde_json::{Value, json};

use super::Reading;
use super::format::{Format, Named};

/// Whether a file in a folder is a configuration by its name.
pub(crate) fn is_supported(path: &str) -> bool {
    !matches!(Format::of_conftest(path), Named::Unknown(_))
}

/// One configuration. Without a parser the name says the format; `-` is `stdin`, and YAML by default.
///
/// # Errors
/// A format that is not known, or has no parser here; a file that cannot be read or parsed.
pub(crate) fn configuration(
    path: &str,
    parser: Option<&str>,
    stdin: &[u8],
    reading: &Reading<'_>,
) -> Result<Value, String> {
    let named = match parser {
        Some(name) => Format::named_by_conftest(name),
        None => Format::of_conftest(path),
    };
    let around = if parser.is_none() && path != "-" { "new: " } else { "" };
    let format = match named {
        Named::Format(format) => format,
        Named::Without(name) => {
            return Err(format!(
                "new parser: {around}muster has no parser for {name}, path: {path}"
            ));
        }
        Named::Unknown(name) => return Err(format!("new parser: {around}unknown parser: {name}, path: {path}")),
    };
    let unread = |why: String| format!("get configuration content: {why}, path: {path}");
    let read;
    let bytes = if path == "-" {
        stdin
    } else {
        let absolute = std::path::absolute(path).map_err(|error| unread(format!("get abs: {error}")))?;
        read = super::read(&absolute)
            .map_err(|error| unread(format!("open file: open {}: {}", absolute.display(), plain(&error))))?;
        &read
    };
    super::whole(bytes, format, reading).map_err(|why| format!("parser unmarshal: {why}, path: {path}"))
}

/// All configurations as one: a list of `{path, contents}` by path, the documents of a file each for itself.
pub(crate) fn combined(mut configurations: Vec<(String, Value)>) -> Value {
    configurations.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut list = Vec::new();
    for (path, value) in configurations {
        match value {
            Value::Array(documents) => {
                let each = documents.into_iter();
                list.extend(each.map(|document| json!({ "path": path, "contents": document })));
            }
            value => list.push(json!({ "path": path, "contents": value })),
        }
    }
    Value::Array(list)
}

/// An error of the system as Go words it.
pub(crate) fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        std::io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_that_conftest_knows_announce_a_format() {
        for name in [
            "a.yml",
            "Dockerfile.x",
            "x.cue",
            "Jenkinsfile",
            "a.textpb",
            ".env",
            "b.cyclonedx",
        ] {
            assert!(is_supported(name), "{name}");
        }
        for name in [
            "pg_hba.conf",
            "redis.conf",
            "my.cnf",
            "a.tfstate",
            "x.txt",
            "plain",
            "hosts.conf",
        ] {
            assert!(!is_supported(name), "{name}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_says_what_conftest_says() {
        let error = configuration("nowhere/x.yaml", None, b"", &Reading::default()).unwrap_err();
        assert!(
            error.starts_with("get configuration content: open file: open /"),
            "{error}"
        );
        assert!(
            error.ends_with("nowhere/x.yaml: no such file or directory, path: nowhere/x.yaml"),
            "{error}"
        );
        assert_eq!(
            configuration("x.txt", None, b"", &Reading::default()).unwrap_err(),
            "new parser: new: unknown parser: txt, path: x.txt"
        );
        assert_eq!(
            configuration("-", Some("yamll"), b"", &Reading::default()).unwrap_err(),
            "new parser: unknown parser: yamll, path: -"
        );
    }

    #[test]
    fn the_documents_of_a_file_are_combined_each_for_itself() {
        let two = configuration("-", None, b"a: 1\n---\na: 2\n", &Reading::default()).unwrap();
        assert_eq!(
            combined(vec![("z".to_owned(), two), ("b".to_owned(), json!({}))]),
            json!([{"path": "b", "contents": {}}, {"path": "z", "contents": {"a": 1}}, {"path": "z", "contents": {"a": 2}}])
        );
    }
}
