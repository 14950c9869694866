//! HCL 2, as hcl2json and Conftest give it.
//!
//! What is not literal becomes `${…}` with the expression's own text, so a rule sees what stands in the file; which values those are
//! is told beside the document. Blocks nest by their labels and end in a list. Source of the facts: hcl2json
//! `convert/convert.go`, HashiCorp's HCL specification.

use std::borrow::Cow;
use std::ops::Range;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey, UnaryOperator};
use hcl_edit::structure::{Block, BlockLabel, Body};
use hcl_edit::template::{Directive, Element, Strip, Template};
use serde_json::{Map, Value, json};

/// Parses HCL 2.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    Ok(Value::Object(Converter { text }.body(&read(text)?)?))
}

fn read(text: &str) -> Result<Body, String> {
    hcl_edit::parser::parse_body(text).map_err(|error| {
        let at = error.location();
        format!("line {}, column {}: {}", at.line(), at.column(), error.message())
    })
}

/// Where a template stands.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    /// Between quotes; its escapes have been read.
    Quotes,
    /// In a directive between quotes; they have not.
    Directive,
    /// In a heredoc, where there are none.
    Heredoc,
}

struct Converter<'a> {
    text: &'a str,
}

impl Converter<'_> {
    fn body(&self, body: &Body) -> Result<Map<String, Value>, String> {
        let mut out = Map::new();
        for block in body.blocks() {
            self.block(block, &mut out)?;
        }
        for attribute in body.attributes() {
            out.insert(attribute.key.to_string(), self.expression(&attribute.value)?);
        }
        Ok(out)
    }

    fn block(&self, block: &Block, out: &mut Map<String, Value>) -> Result<(), String> {
        let value = Value::Object(self.body(&block.body)?);
        let mixed = || format!("blocks {} stand with and without labels", block.ident.as_str());
        let mut place = out;
        let mut key = block.ident.to_string();
        for label in &block.labels {
            place = place
                .entry(key)
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .ok_or_else(mixed)?;
            key = self.label(label);
        }
        place
            .entry(key)
            .or_insert_with(|| json!([]))
            .as_array_mut()
            .ok_or_else(mixed)?
            .push(value);
        Ok(())
    }

    fn label(&self, label: &BlockLabel) -> String {
        label.as_str().to_owned()
    }

    fn expression(&self, expression: &Expression) -> Result<Value, String> {
        Ok(match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::Bool(*value.value()),
            Expression::Number(_) => self.number(expression, "")?,
            Expression::String(value) => Value::String(escaped(value)),
            Expression::Array(array) => array
                .iter()
                .map(|item| self.expression(item))
                .collect::<Result<_, _>>()?,
            Expression::Object(object) => {
                let mut out = Map::new();
                for (key, value) in object {
                    out.insert(self.key(key)?, self.expression(value.expr())?);
                }
                Value::Object(out)
            }
            Expression::StringTemplate(template) => self.template(template, Within::Quotes)?,
            Expression::HeredocTemplate(heredoc) => {
                let mut heredoc = heredoc.clone();
                if heredoc.indent().is_some() || self.source(&span_of(expression)).starts_with("<<-") {
                    heredoc.dedent();
                }
                match self.template(&heredoc.template, Within::Heredoc)? {
                    Value::String(text) if !text.ends_with('\n') && !text.is_empty() => Value::String(text + "\n"),
                    value => value,
                }
            }
            Expression::UnaryOp(operation) => match (operation.operator.value(), &operation.expr) {
                (UnaryOperator::Neg, number @ Expression::Number(_)) => self.number(number, "-")?,
                (UnaryOperator::Not, Expression::Bool(value)) => Value::Bool(!value.value()),
                _ => self.wrapped(expression),
            },
            _ => self.wrapped(expression),
        })
    }

    fn number(&self, expression: &Expression, sign: &str) -> Result<Value, String> {
        let text = format!("{sign}{}", self.source(&span_of(expression)));
        serde_json::from_str(&text).map_err(|_| format!("{text} is no number that JSON can hold"))
    }

    fn key(&self, key: &ObjectKey) -> Result<String, String> {
        Ok(match key {
            ObjectKey::Ident(name) => name.to_string(),
            ObjectKey::Expression(expression @ (Expression::Variable(_) | Expression::Traversal(_))) => {
                self.source(&span_of(expression)).to_owned()
            }
            ObjectKey::Expression(expression) => self.part(expression)?,
        })
    }

    /// An expression as a part of a text.
    fn part(&self, expression: &Expression) -> Result<String, String> {
        Ok(match expression {
            Expression::Null(_) => "null".to_owned(),
            Expression::Bool(value) => value.value().to_string(),
            Expression::Number(_) => self.source(&span_of(expression)).to_owned(),
            Expression::String(value) => escaped(value),
            Expression::StringTemplate(template) => self.text_of(template, Within::Quotes)?,
            _ => format!("${{{}}}", self.source(&span_of(expression))),
        })
    }

    /// `"${x}"` alone is x itself; anything else is text.
    fn template(&self, template: &Template, within: Within) -> Result<Value, String> {
        match template.as_single_element() {
            Some(Element::Interpolation(interpolation)) => self.expression(&interpolation.expr),
            _ => self.text_of(template, within).map(Value::String),
        }
    }

    fn text_of(&self, template: &Template, within: Within) -> Result<String, String> {
        let inner = match within {
            Within::Quotes => Within::Directive,
            other => other,
        };
        let mut out = String::new();
        let mut strip_next = false;
        for element in template {
            match element {
                Element::Literal(text) => {
                    let text = match within {
                        Within::Directive => Cow::Owned(meant(text)),
                        Within::Quotes | Within::Heredoc => Cow::Borrowed(text.as_str()),
                    };
                    let text = if strip_next { text.trim_start() } else { &text };
                    out.push_str(&escaped(text));
                    strip_next = false;
                }
                Element::Interpolation(interpolation) => {
                    strip_next = stripped(&mut out, interpolation.strip);
                    out.push_str(&self.part(&interpolation.expr)?);
                }
                Element::Directive(directive) => match &**directive {
                    Directive::If(branches) => {
                        stripped(&mut out, branches.if_expr.strip);
                        let condition = self.source(&span_of(&branches.if_expr.cond_expr));
                        out.push_str(&format!(
                            "%{{if {condition}}}{}",
                            self.text_of(&branches.if_expr.template, inner)?
                        ));
                        if let Some(other) = &branches.else_expr {
                            let other = self.text_of(&other.template, inner)?;
                            if !other.is_empty() {
                                out.push_str(&format!("%{{else}}{other}"));
                            }
                        }
                        out.push_str("%{endif}");
                        strip_next = ends_strip(branches.endif_expr.strip);
                    }
                    Directive::For(each) => {
                        stripped(&mut out, each.for_expr.strip);
                        let key = each
                            .for_expr
                            .key_var
                            .as_ref()
                            .map_or_else(String::new, |key| format!("{}, ", key.as_str()));
                        let from = self.source(&span_of(&each.for_expr.collection_expr));
                        let value = each.for_expr.value_var.as_str();
                        out.push_str(&format!(
                            "%{{for {key}{value} in {from}}}{}%{{endfor}}",
                            self.text_of(&each.for_expr.template, inner)?
                        ));
                        strip_next = ends_strip(each.endfor_expr.strip);
                    }
                },
            }
        }
        Ok(out)
    }

    fn wrapped(&self, expression: &Expression) -> Value {
        Value::String(format!("${{{}}}", self.source(&span_of(expression))))
    }

    fn source(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default().trim()
    }
}

fn span_of(expression: &Expression) -> Range<usize> {
    expression.span().unwrap_or_default()
}

/// What a literal would mean in a template is written so that it means itself.
fn escaped(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// A text with its escapes read.
fn meant(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        let escape = (letter == '\\').then(|| rest.next()).flatten();
        let code = |rest: &mut std::str::Chars<'_>, digits: usize| {
            let hex: String = rest.by_ref().take(digits).collect();
            u32::from_str_radix(&hex, 16)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or(char::REPLACEMENT_CHARACTER)
        };
        out.push(match escape {
            None => letter,
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => code(&mut rest, 4),
            Some('U') => code(&mut rest, 8),
            Some(other) => other,
        });
    }
    out
}

fn stripped(out: &mut String, strip: Strip) -> bool {
    if matches!(strip, Strip::Start | Strip::Both) {
        out.truncate(out.trim_end().len());
    }
    ends_strip(strip)
}

fn ends_strip(strip: Strip) -> bool {
    matches!(strip, Strip::End | Strip::Both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_nest_by_their_labels_and_expressions_keep_their_text() {
        let parsed = parse(
            r#"
resource "aws_x" "a" {
  name  = "n-${var.n}"
  count = 3
  size  = -1.5
  all   = [for x in y : x]
  cond  = test > 2 ? 1: 0
  whole = "${4 - 2}"
  call  = upper("a")
  plain = "$${literal}"
  tags  = { Name = "x", "quoted" = true, (k) = null }
  loop  = "for: %{for x in local.arr}x,%{endfor}"
  quote = "%{if local.a}\"4\n\u00e9${"\"b\""}%{endif}\\"
  setting {
    a = 1
  }
  setting {
    a = 2
  }
}
resource "aws_x" "b" {}
locals {
  doc = <<-EOF
    one
      two ${local.x}
    EOF
}
"#,
        )
        .unwrap();
        assert_eq!(
            parsed["resource"]["aws_x"]["a"][0],
            json!({
                "name": "n-${var.n}", "count": 3, "size": -1.5, "all": "${[for x in y : x]}", "cond": "${test > 2 ? 1: 0}",
                "whole": "${4 - 2}", "call": "${upper(\"a\")}", "plain": "$${literal}",
                "tags": {"Name": "x", "quoted": true, "${(k)}": null}, "loop": "for: %{for x in local.arr}x,%{endfor}",
                "quote": "%{if local.a}\"4\né\"b\"%{endif}\\",
                "setting": [{"a": 1}, {"a": 2}],
            })
        );
        assert_eq!(parsed["resource"]["aws_x"]["b"], json!([{}]));
        assert_eq!(parsed["locals"][0]["doc"], "one\n  two ${local.x}\n");
    }

    #[test]
    fn what_is_no_hcl_is_refused_with_its_place_and_depth_is_bounded() {
        assert!(parse("a = 1\nb = \n").unwrap_err().starts_with("line 2"));
        assert!(parse(&format!("a = {}1{}", "[".repeat(5000), "]".repeat(5000))).is_err());
        assert!(parse("a \"b\" {}\na {}\n").is_err());
    }
}
