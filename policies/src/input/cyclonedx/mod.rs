//! CycloneDX: its JSON form as it is, its XML form as the JSON that Conftest makes of it.
//!
//! `shapes.txt` says what becomes of which element; what no type there knows is left out. Two facts are Conftest's and no matter of taste:
//! of XML `bomFormat` is empty and `specVersion` is `SpecVersion(0)`, for it keeps neither. Source of the facts: the two schemas of
//! CycloneDX, cyclonedx-go (which field is omitted when), Conftest `parser/cyclonedx`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use super::xml::{self, Element};

const VERSIONS: &[&str] = &["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7"];

/// Parses a bill of materials in either form.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(value) => versioned(value),
        Err(why) if text.trim_start().starts_with('{') => Err(why.to_string()),
        Err(_) => from_xml(&xml::document(text)?),
    }
}

fn versioned(value: Value) -> Result<Value, String> {
    match value.get("specVersion") {
        _ if !value.is_object() => Err("no CycloneDX document: it is no object".to_owned()),
        None | Some(Value::Null) => Ok(value),
        Some(Value::String(version)) if VERSIONS.contains(&version.as_str()) => Ok(value),
        Some(version) => Err(format!(
            "no CycloneDX document: its specVersion is {version}, not one of {}",
            VERSIONS.join(", ")
        )),
    }
}

fn from_xml(bom: &Element) -> Result<Value, String> {
    if bom.name != "bom" {
        return Err(format!(
            "no CycloneDX document: its element is <{}>, not <bom>",
            bom.name
        ));
    }
    let mut value = Shapes::new().object("BOM", bom)?;
    value.insert("bomFormat".to_owned(), json!(""));
    value.insert("specVersion".to_owned(), json!("SpecVersion(0)"));
    Ok(Value::Object(value))
}

/// When a key is left out.
#[derive(Clone, Copy, PartialEq)]
enum Left {
    Never,
    WhereNothing,
    WhereEmpty,
}

struct Field {
    key: &'static str,
    left: Left,
    path: &'static str,
    many: bool,
    kind: &'static str,
    null: bool,
}

impl Field {
    fn new(word: &'static str) -> Self {
        let (head, kind) = word.split_once(':').unwrap_or((word, ""));
        let (head, many) = head.strip_suffix('*').map_or((head, false), |head| (head, true));
        let (name, path) = head
            .split_once('=')
            .map_or((head, None), |(name, path)| (name, Some(path)));
        let key = name.trim_end_matches('?');
        Self {
            key,
            left: match name.len() - key.len() {
                0 => Left::Never,
                1 => Left::WhereNothing,
                _ => Left::WhereEmpty,
            },
            path: path.unwrap_or(key),
            many,
            kind: kind.trim_end_matches('^'),
            null: kind.ends_with('^'),
        }
    }
}

struct Shapes(HashMap<&'static str, Vec<Field>>);

impl Shapes {
    fn new() -> Self {
        let mut shapes = HashMap::new();
        let mut name = "";
        for line in include_str!("shapes.txt").lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(' ') {
                let fields: &mut Vec<Field> = shapes.entry(name).or_default();
                fields.extend(line.split_whitespace().map(Field::new));
            } else {
                name = line;
            }
        }
        Self(shapes)
    }

    fn object(&self, shape: &str, element: &Element) -> Result<Map<String, Value>, String> {
        let mut object = Map::new();
        for field in self.0.get(shape).into_iter().flatten() {
            if let Some(value) = self.field(field, element)? {
                object.insert(field.key.to_owned(), value);
            }
        }
        Ok(object)
    }

    fn field(&self, field: &Field, element: &Element) -> Result<Option<Value>, String> {
        let mut path = field.path;
        let mut here = vec![element];
        while !path.is_empty() && !path.starts_with(['@', '.']) {
            let (step, rest) = path.split_once('>').unwrap_or((path, ""));
            path = rest;
            here = here.into_iter().flat_map(|element| element.all(step)).collect();
        }
        if let Some(name) = path.strip_prefix('@') {
            let text = here.last().and_then(|element| element.attribute(name));
            return text.map_or_else(|| Ok(absent(field)), |text| scalar(field, text));
        }
        if field.many {
            let each = here.into_iter().map(|element| self.value(field, element));
            let list = each.collect::<Result<Vec<_>, String>>()?;
            return Ok(match list.is_empty() {
                true => absent(field),
                false => Some(Value::Array(list)),
            });
        }
        // As in Go, of several the last counts.
        let Some(last) = here.last() else {
            let structure = field.left == Left::Never && !field.null && self.0.contains_key(field.kind);
            return match structure {
                true => self
                    .object(field.kind, &Element::default())
                    .map(|empty| Some(Value::Object(empty))),
                false => Ok(absent(field)),
            };
        };
        let value = self.value(field, last)?;
        let nothing = match (&value, field.left) {
            (_, Left::Never) => false,
            (Value::String(text), _) => text.is_empty(),
            (Value::Bool(truth), _) => field.kind == "flag" && !truth,
            (Value::Array(list), Left::WhereEmpty) => list.is_empty(),
            (Value::Object(object), Left::WhereEmpty) => object.is_empty(),
            _ => false,
        };
        Ok((!nothing).then_some(value))
    }

    fn value(&self, field: &Field, element: &Element) -> Result<Value, String> {
        let object = |shape: &str| self.object(shape, element).map(Value::Object);
        let has = |name: &str| element.all(name).any(|child| !child.text.is_empty());
        match field.kind {
            "ref" => Ok(json!(element.attribute("ref").unwrap_or_default())),
            "Licenses" => self.licenses(element),
            "Tools" => self.tools(element),
            "Environment" => each(element, |child| match child.name.as_str() {
                "value" => Some(Ok(json!(child.text))),
                "environmentVar" => Some(self.object("Property", child).map(Value::Object)),
                _ => None,
            }),
            "Patents" => {
                let known = |child: &&Element| matches!(child.name.as_str(), "patent" | "patentFamily");
                let shape = |child: &Element| match child.name.as_str() {
                    "patent" => "Patent",
                    _ => "PatentFamily",
                };
                let each = element.children.iter().filter(known);
                each.map(|child| self.object(shape(child), child).map(Value::Object))
                    .collect()
            }
            "Dataset" => match element.all("ref").last().filter(|found| !found.text.is_empty()) {
                Some(found) => Ok(json!({ "ref": found.text })),
                None => object("ComponentData"),
            },
            "CertificateState" if has("state") => object("PredefinedCertificateState"),
            "CertificateState" => object("CustomCertificateState"),
            "CertificateExtension" if has("commonExtensionName") => object("CommonCertificateExtension"),
            "CertificateExtension" => object("CustomCertificateExtension"),
            kind if kind.starts_with("IKEv2") && kind != "IKEv2TransformTypes" => {
                let fields = self.object(kind, element)?;
                let text = element.text.trim();
                Ok(match fields.is_empty() && !text.is_empty() {
                    true => json!(text),
                    false => Value::Object(fields),
                })
            }
            kind if self.0.contains_key(kind) => object(kind),
            _ => Ok(scalar(field, &element.text)?.unwrap_or_else(|| json!(""))),
        }
    }

    fn licenses(&self, element: &Element) -> Result<Value, String> {
        each(element, |child| match child.name.as_str() {
            "license" => Some(self.object("License", child).and_then(|license| {
                match (license.contains_key("id"), license.contains_key("name")) {
                    (true, true) => Err("a license has either an id or a name, not both".to_owned()),
                    (false, false) => Err("a license has an id or a name".to_owned()),
                    _ => Ok(json!({ "license": license })),
                }
            })),
            "expression" | "expression-detailed" => Some(self.expression(child).map(Value::Object)),
            _ => None,
        })
    }

    fn expression(&self, element: &Element) -> Result<Map<String, Value>, String> {
        let mut found = Map::new();
        let mut add = |key: &str, text: &str| {
            if !text.is_empty() {
                found.insert(key.to_owned(), json!(text));
            }
        };
        for key in ["acknowledgement", "bom-ref"] {
            add(key, element.attribute(key).unwrap_or_default());
        }
        if element.name == "expression" {
            add("expression", &element.text);
            return Ok(found);
        }
        add("expression", element.attribute("expression").unwrap_or_default());
        let details = element.all("details");
        let details = details.map(|details| self.object("LicenseDetails", details).map(Value::Object));
        let details = details.collect::<Result<Vec<_>, _>>()?;
        if !details.is_empty() {
            found.insert("expressionDetails".to_owned(), Value::Array(details));
        }
        Ok(found)
    }

    /// Before version 1.5 a list of tools, since then components and services.
    fn tools(&self, element: &Element) -> Result<Value, String> {
        let list = |shape: &'static str, within: &mut dyn Iterator<Item = &Element>| {
            let each = within.map(|tool| self.object(shape, tool).map(Value::Object));
            each.collect::<Result<Vec<_>, String>>()
        };
        let within = |outer: &'static str, inner: &'static str| element.all(outer).flat_map(move |all| all.all(inner));
        if let Some(other) = element
            .children
            .iter()
            .find(|child| !matches!(child.name.as_str(), "tool" | "components" | "services"))
        {
            return Err(format!("unknown element: {}", other.name));
        }
        let tools = list("Tool", &mut element.all("tool"))?;
        let components = list("Component", &mut within("components", "component"))?;
        let services = list("Service", &mut within("services", "service"))?;
        let newer = !components.is_empty() || !services.is_empty();
        if newer && !tools.is_empty() {
            return Err("tools are either a list, or components and services, not both".to_owned());
        }
        if !tools.is_empty() {
            return Ok(Value::Array(tools));
        }
        let mut object = Map::new();
        for (key, list) in [("components", components), ("services", services)] {
            if !list.is_empty() {
                object.insert(key.to_owned(), Value::Array(list));
            }
        }
        match object.is_empty() {
            true => Err("the element <tools> holds no tool".to_owned()),
            false => Ok(Value::Object(object)),
        }
    }
}

fn each(element: &Element, read: impl Fn(&Element) -> Option<Result<Value, String>>) -> Result<Value, String> {
    let known = |child| read(child).unwrap_or_else(|| Err(format!("unknown element: {}", child.name)));
    element.children.iter().map(known).collect()
}

fn absent(field: &Field) -> Option<Value> {
    match (field.left, field.kind) {
        (Left::WhereNothing | Left::WhereEmpty, _) => None,
        _ if field.null => Some(Value::Null),
        (_, "int" | "float" | "float32") => Some(json!(0)),
        (_, "bool") => Some(json!(false)),
        _ => Some(json!("")),
    }
}

/// A text as this kind of value, trimmed unless it is text; `None` for an empty text that is left out.
fn scalar(field: &Field, text: &str) -> Result<Option<Value>, String> {
    let word = text.trim();
    let no = |kind: &str| format!("{}: {word:?} is no {kind}", field.key);
    Ok(match field.kind {
        "" | "ref" if text.is_empty() && field.left != Left::Never => None,
        "int" if word.is_empty() => Some(json!(0)),
        "int" => Some(json!(word.parse::<i64>().map_err(|_| no("whole number"))?)),
        "float" | "float32" if word.is_empty() => Some(json!(0)),
        // Through its shortest text, as Go writes it.
        "float32" => {
            let number: f32 = word.parse().map_err(|_| no("number"))?;
            Some(json!(number.to_string().parse::<f64>().map_err(|_| no("number"))?))
        }
        "float" => Some(json!(word.parse::<f64>().map_err(|_| no("number"))?)),
        "bool" | "flag" => match word {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(json!(true)),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(json!(false)),
            _ => return Err(no("truth value")),
        },
        _ => Some(json!(text)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_xml_form_becomes_the_json_that_conftest_gives() {
        let text = r#"<?xml version="1.0" encoding="utf-8"?>
<bom serialNumber="urn:uuid:1" version="2" xmlns="http://cyclonedx.org/schema/bom/1.4">
  <metadata>
    <timestamp>2021-11-26T07:47:14Z</timestamp>
    <tools><tool><vendor>anchore</vendor><name>syft</name><hashes/></tool></tools>
    <component type="container"><name>box &amp; co</name><hashes/><components/></component>
  </metadata>
  <components>
    <component type="library" bom-ref="a">
      <name>a</name><version></version>
      <hashes><hash alg="SHA-1">00</hash></hashes>
      <licenses><license><id>MIT</id></license><expression acknowledgement="declared">A OR B</expression></licenses>
      <modified>false</modified>
      <externalReferences><reference type="vcs"><url>https://x</url></reference></externalReferences>
      <properties><property name="k">v</property></properties>
      <evidence><copyright><text>me</text></copyright><identity><field>purl</field><confidence>0.1</confidence></identity></evidence>
    </component>
  </components>
  <dependencies><dependency ref="a"><dependency ref="b"/><dependency ref="c"/></dependency><dependency ref="b"/></dependencies>
  <vulnerabilities><vulnerability><id>CVE-1</id><ratings><rating><score>9.8</score><severity>critical</severity></rating></ratings>
    <cwes><cwe>79</cwe></cwes><affects><target><ref>a</ref></target></affects></vulnerability></vulnerabilities>
</bom>"#;
        assert_eq!(
            parse(text).unwrap(),
            json!({
                "bomFormat": "", "specVersion": "SpecVersion(0)", "serialNumber": "urn:uuid:1", "version": 2,
                "metadata": {
                    "timestamp": "2021-11-26T07:47:14Z", "tools": [{"vendor": "anchore", "name": "syft"}],
                    "component": {"type": "container", "name": "box & co"},
                },
                "components": [{
                    "type": "library", "bom-ref": "a", "name": "a", "hashes": [{"alg": "SHA-1", "content": "00"}],
                    "licenses": [{"license": {"id": "MIT"}}, {"expression": "A OR B", "acknowledgement": "declared"}],
                    "modified": false, "externalReferences": [{"type": "vcs", "url": "https://x"}],
                    "properties": [{"name": "k", "value": "v"}],
                    "evidence": {"copyright": [{"text": "me"}], "identity": [{"field": "purl", "confidence": 0.1}]},
                }],
                "dependencies": [{"ref": "a", "dependsOn": ["b", "c"]}, {"ref": "b"}],
                "vulnerabilities": [{
                    "id": "CVE-1", "ratings": [{"score": 9.8, "severity": "critical"}], "cwes": [79], "affects": [{"ref": "a"}],
                }],
            })
        );
    }

    #[test]
    fn since_version_1_5_tools_are_components() {
        let of = |tools: &str| parse(&format!("<bom><metadata><tools>{tools}</tools></metadata></bom>"));
        let components = "<components><component type=\"application\"><name>t</name></component></components>";
        assert_eq!(
            of(components).unwrap()["metadata"]["tools"],
            json!({"components": [{"type": "application", "name": "t"}]})
        );
        assert!(
            of(&format!("<tool><name>x</name></tool>{components}"))
                .unwrap_err()
                .contains("not both")
        );
        assert!(of("<what/>").unwrap_err().contains("unknown element: what"));
    }

    #[test]
    fn what_is_no_bill_of_materials_is_refused() {
        for (text, why) in [
            ("<sbom/>", "not <bom>"),
            ("<bom version=\"x\"/>", "whole number"),
            (
                "<bom><components><component><licenses><license/></licenses></component></components></bom>",
                "id or a name",
            ),
            ("{\"specVersion\": \"not-a-version\"}", "not-a-version"),
            ("[]", "no object"),
            ("{", "EOF"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        assert!(parse("{\"specVersion\": \"1.6\", \"x\": 1}").is_ok());
    }

    #[test]
    fn every_type_that_the_table_names_stands_in_it() {
        let shapes = Shapes::new();
        let own = [
            "",
            "ref",
            "int",
            "float",
            "float32",
            "bool",
            "flag",
            "Licenses",
            "Tools",
            "Environment",
            "Patents",
            "Dataset",
        ];
        for field in shapes.0.values().flatten() {
            let known =
                own.contains(&field.kind) || field.kind.starts_with("Certificate") || shapes.0.contains_key(field.kind);
            assert!(known, "{}: {}", field.key, field.kind);
        }
        assert!(shapes.0.len() > 100);
    }
}
