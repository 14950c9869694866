//! Protocol Buffers in their text form, as protojson gives them under the names of the definition.
//!
//! The file names its message in a comment (`# proto-message: pkg.Message`); the definitions are handed in beside it, for it names no
//! file of them. Source of the facts: Conftest `parser/textproto`.

use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A `.proto` file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proto {
    /// Beneath the folder of definitions: by this name others import it.
    pub(crate) name: String,
    /// From where the program runs, by which Conftest wants it imported.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Parses a message by these definitions and the well-known ones.
pub(super) fn parse(text: &str, protos: &[Proto]) -> Result<Value, String> {
    let name =
        message(text).ok_or("extract proto message type: file does not contain necessary proto-message comment")?;
    let unknown = || match protos.is_empty() {
        true => format!(
            "look up message type {name:?}: not found; name the folders of its definitions with --proto-file-dirs"
        ),
        false => format!("look up message type {name:?}: not found in the definitions"),
    };
    let kind = pool(protos)?.get_message_by_name(name).ok_or_else(unknown)?;
    let parsed = DynamicMessage::parse_text_format(kind, text);
    let parsed = parsed.map_err(|error| format!("unmarshal textproto: {error}"))?;
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .stringify_64_bit_integers(true)
        .skip_default_fields(true);
    let json = parsed.serialize_with_options(serde_json::value::Serializer, &options);
    json.map_err(|error| format!("marshal JSON: {error}"))
}

/// The name in the first comment that names one: `#\s+proto-message:\s+([a-zA-Z0-9.]+)`.
fn message(text: &str) -> Option<&str> {
    text.lines().find_map(|line| {
        line.match_indices('#').find_map(|(at, _)| {
            let spaced = |text: &'_ str| text.starts_with(char::is_whitespace);
            let rest = line.get(at + 1..).filter(|rest| spaced(rest))?.trim_start();
            let rest = rest
                .strip_prefix("proto-message:")
                .filter(|rest| spaced(rest))?
                .trim_start();
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .unwrap_or(rest.len());
            (end > 0).then(|| &rest[..end])
        })
    })
}

fn pool(protos: &[Proto]) -> Result<DescriptorPool, String> {
    let mut pool = DescriptorPool::global();
    let mut files = Vec::with_capacity(protos.len());
    for proto in protos {
        let refused = |error: protox_parse::ParseError| {
            let line = error.span().and_then(|span| proto.text.get(..span.start));
            let line = line.map_or(1, |before| 1 + before.matches('\n').count());
            format!("load proto file {}: line {line}: {error}", proto.path)
        };
        let mut file = protox_parse::parse(&proto.name, &proto.text).map_err(refused)?;
        for import in &mut file.dependency {
            if let Some(meant) = protos.iter().find(|other| other.path == *import) {
                import.clone_from(&meant.name);
            }
        }
        files.push(file);
    }
    pool.add_file_descriptor_protos(files)
        .map_err(|error| format!("load proto files: {error}"))?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn proto(name: &str, text: &str) -> Proto {
        Proto {
            name: name.to_owned(),
            path: format!("protos/{name}"),
            text: text.to_owned(),
        }
    }

    fn definitions() -> Vec<Proto> {
        let uses = "syntax = \"proto3\";\npackage a.b;\nimport \"protos/other.proto\";\nimport \"google/protobuf/duration.proto\";\n\
                    message Test {\n  string long_name = 1;\n  int64 big = 2;\n  repeated Kind kinds = 3;\n  Other other = 4;\n  \
                    map<string, bool> flags = 5;\n  bytes raw = 6;\n  google.protobuf.Duration time = 7;\n  double ratio = 8;\n  bool off = 9;\n  optional bool no = 10;\n}\n";
        let other =
            "syntax = \"proto3\";\npackage a.b;\nenum Kind { NONE = 0; GOOD = 1; }\nmessage Other { uint32 n = 1; }\n";
        vec![proto("uses.proto", uses), proto("other.proto", other)]
    }

    #[test]
    fn a_message_becomes_what_protojson_gives() {
        let text = "# a comment\n# proto-message: a.b.Test\nlong_name: \"x\" \"y\"\nbig: 12345678901\nkinds: [GOOD, NONE]\nother { n: 3 }\n\
                    flags { key: \"k\" value: true }\nraw: \"\\001\"\ntime { seconds: 3 }\nratio: 0.5\noff: false\nno: false\n";
        assert_eq!(
            parse(text, &definitions()).unwrap(),
            json!({
                "long_name": "xy", "big": "12345678901", "kinds": ["GOOD", "NONE"], "other": {"n": 3}, "flags": {"k": true},
                "raw": "AQ==", "time": "3s", "ratio": 0.5, "no": false,
            })
        );
    }

    #[test]
    fn what_is_missing_is_said_in_conftests_words() {
        for (text, protos, why) in [
            ("n: 1\n", definitions(), "necessary proto-message comment"),
            (
                "# proto-message: a.b.Test\n",
                Vec::new(),
                "look up message type \"a.b.Test\": not found; name the folders",
            ),
            (
                "# proto-message: a.b.No\n",
                definitions(),
                "look up message type \"a.b.No\": not found in",
            ),
            (
                "# proto-message: a.b.Test\nwhat: 1\n",
                definitions(),
                "unmarshal textproto: ",
            ),
            (
                "# proto-message: a.b.Test\n",
                vec![proto("x.proto", "syntax = \"proto3\";\nmessage {\n")],
                "load proto file protos/x.proto: line 2",
            ),
            (
                "# proto-message: a.b.Test\n",
                definitions().split_off(0)[..1].to_vec(),
                "load proto files: ",
            ),
        ] {
            let refused = parse(text, &protos).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn the_message_is_named_by_the_first_comment_that_names_one() {
        assert_eq!(
            message("#proto-message: a\n# proto-message:b\nx: 1 #  proto-message:  c.D!\n"),
            Some("c.D")
        );
        assert_eq!(message("# proto-file: a\n"), None);
    }
}
