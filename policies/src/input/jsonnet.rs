//! Jsonnet, evaluated to the JSON that it stands for.
//!
//! A file stands alone: an import is refused by name, external variables and native functions do not exist. It computes, so it is
//! evaluated where memory and time are bounded (`apart.rs`).

use rsjsonnet_lang::arena::Arena;
use rsjsonnet_lang::interner::InternedStr;
use rsjsonnet_lang::lexer::LexError;
use rsjsonnet_lang::parser::ParseError;
use rsjsonnet_lang::program::{
    AnalyzeError, Callbacks, EvalError, EvalErrorKind, EvalStackTraceItem, ImportError, LoadError, NativeError,
    Program, Thunk, Value as Evaluated,
};
use rsjsonnet_lang::span::{SpanId, SpanManager};
use serde_json::Value;

/// Evaluates a file. A function is called without arguments, as Jsonnet's own program does.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let arena = Arena::new();
    let mut program = Program::new(&arena);
    let (context, _) = program.span_manager_mut().insert_source_context(text.len());
    let loaded = program.load_source(context, text.as_bytes(), true, "");
    let thunk = loaded.map_err(|error| unread(&error, program.span_manager(), text))?;
    let failed = |error: &EvalError, program: &Program<'_>| unevaluated(error, program.span_manager(), text);
    let mut value = program
        .eval_value(&thunk, &mut Alone)
        .map_err(|error| failed(&error, &program))?;
    if value.is_function() {
        let called = program.eval_call(&thunk, &[], &[], &mut Alone);
        value = called.map_err(|error| failed(&error, &program))?;
    }
    let json = program
        .manifest_json(&value, false)
        .map_err(|error| failed(&error, &program))?;
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

/// What a file may ask of the world: nothing.
struct Alone;

impl<'p> Callbacks<'p> for Alone {
    fn import(&mut self, _: &mut Program<'p>, _: SpanId, _: &str) -> Result<Thunk<'p>, ImportError> {
        Err(ImportError)
    }

    fn import_str(&mut self, _: &mut Program<'p>, _: SpanId, _: &str) -> Result<String, ImportError> {
        Err(ImportError)
    }

    fn import_bin(&mut self, _: &mut Program<'p>, _: SpanId, _: &str) -> Result<Vec<u8>, ImportError> {
        Err(ImportError)
    }

    fn trace(&mut self, _: &mut Program<'p>, _: &str, _: &[EvalStackTraceItem]) {}

    fn native_call(
        &mut self,
        _: &mut Program<'p>,
        _: InternedStr<'p>,
        _: &[Evaluated<'p>],
    ) -> Result<Evaluated<'p>, NativeError> {
        Err(NativeError)
    }
}

fn placed(span: Option<SpanId>, spans: &SpanManager, text: &str, why: &str) -> String {
    let Some(span) = span else {
        return why.to_owned();
    };
    let (_, start, _) = spans.get_span(span);
    let before = text.as_bytes().get(..start).unwrap_or_default();
    format!(
        "line {}: {why}",
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    )
}

fn unread(error: &LoadError, spans: &SpanManager, text: &str) -> String {
    let (span, why) = match error {
        LoadError::Lex(error) => (lexed(error), format!("no Jsonnet: {}", words(error))),
        LoadError::Parse(ParseError::Expected { span, instead, .. }) => {
            (*span, format!("unexpected {}", words(instead)))
        }
        LoadError::Analyze(error) => match error {
            AnalyzeError::UnknownVariable { span, name } => (*span, format!("unknown variable: {name}")),
            AnalyzeError::SelfOutsideObject { self_span: span } => (*span, "self outside an object".to_owned()),
            AnalyzeError::SuperOutsideObject { super_span: span } => (*span, "super outside an object".to_owned()),
            AnalyzeError::DollarOutsideObject { dollar_span: span } => (*span, "$ outside an object".to_owned()),
            AnalyzeError::RepeatedLocalName {
                repeated_span, name, ..
            }
            | AnalyzeError::RepeatedFieldName {
                repeated_span, name, ..
            }
            | AnalyzeError::RepeatedParamName {
                repeated_span, name, ..
            } => (*repeated_span, format!("{name} stands twice")),
            AnalyzeError::PositionalArgAfterNamed { arg_span: span } => {
                (*span, "an argument by position behind one by name".to_owned())
            }
            AnalyzeError::TextBlockAsImportPath { span } | AnalyzeError::ComputedImportPath { span } => {
                (*span, "the path of an import is a plain text".to_owned())
            }
        },
    };
    placed(Some(span), spans, text, &why)
}

fn lexed(error: &LexError) -> SpanId {
    match error {
        LexError::InvalidChar { span, .. }
        | LexError::InvalidUtf8 { span, .. }
        | LexError::UnfinishedMultilineComment { span }
        | LexError::LeadingZeroInNumber { span }
        | LexError::MissingFracDigits { span }
        | LexError::MissingExpDigits { span }
        | LexError::MissingDigitAfterUnderscore { span }
        | LexError::ExpOverflow { span }
        | LexError::InvalidEscapeInString { span, .. }
        | LexError::IncompleteUnicodeEscape { span }
        | LexError::InvalidUtf16EscapeSequence { span, .. }
        | LexError::UnfinishedString { span }
        | LexError::MissingLineBreakAfterTextBlockStart { span }
        | LexError::MissingWhitespaceTextBlockStart { span }
        | LexError::InvalidTextBlockTermination { span } => *span,
    }
}

fn unevaluated(error: &EvalError, spans: &SpanManager, text: &str) -> String {
    let (span, why) = match &error.kind {
        EvalErrorKind::ExplicitError { span, message } => (Some(*span), format!("error: {message}")),
        EvalErrorKind::AssertFailed { span, message } => (
            Some(*span),
            format!("assertion failed: {}", message.as_deref().unwrap_or_default()),
        ),
        EvalErrorKind::ImportFailed { span, path } => (
            Some(*span),
            format!("imports {path}: no other file is read; evaluate it with jsonnet and judge the JSON"),
        ),
        EvalErrorKind::UnknownObjectField { span, field_name } => (Some(*span), format!("no such field: {field_name}")),
        EvalErrorKind::UnknownExtVar { name } => (None, format!("no such external variable: {name}")),
        EvalErrorKind::ManifestFunction => (None, "a function is no JSON".to_owned()),
        EvalErrorKind::StackOverflow | EvalErrorKind::InfiniteRecursion => (None, "recurses without an end".to_owned()),
        EvalErrorKind::Other { span, message } => (*span, message.clone()),
        other => (stands(other), words(other)),
    };
    let called = error.stack_trace.iter().rev().find_map(|item| match item {
        EvalStackTraceItem::Expr { span } => Some(*span),
        EvalStackTraceItem::Call { span, .. } => *span,
        _ => None,
    });
    placed(span.or(called), spans, text, &why)
}

/// Where a fault of a single operation stands.
fn stands(kind: &EvalErrorKind) -> Option<SpanId> {
    match kind {
        EvalErrorKind::InvalidIndexedType { span, .. }
        | EvalErrorKind::NumericIndexIsNotValid { span, .. }
        | EvalErrorKind::NumericIndexOutOfRange { span, .. }
        | EvalErrorKind::ObjectIndexIsNotString { span, .. }
        | EvalErrorKind::RepeatedFieldName { span, .. }
        | EvalErrorKind::FieldNameIsNotString { span, .. }
        | EvalErrorKind::FieldOfNonObject { span }
        | EvalErrorKind::ForSpecValueIsNotArray { span, .. }
        | EvalErrorKind::CondIsNotBool { span, .. }
        | EvalErrorKind::InvalidUnaryOpType { span, .. } => Some(*span),
        EvalErrorKind::CalleeIsNotFunction { span, .. }
        | EvalErrorKind::TooManyCallArgs { span, .. }
        | EvalErrorKind::UnknownCallParam { span, .. }
        | EvalErrorKind::CallParamNotBound { span, .. }
        | EvalErrorKind::InvalidBinaryOpTypes { span, .. }
        | EvalErrorKind::NumberOverflow { span }
        | EvalErrorKind::DivByZero { span } => *span,
        _ => None,
    }
}

/// The name of a variant as words: `DivByZero` is `div by zero`.
fn words(error: &impl std::fmt::Debug) -> String {
    let name = format!("{error:?}");
    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
    let mut out = String::new();
    for c in name[..end].chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_it_evaluates_to_is_the_value() {
        let text = "local half(x) = x / 2;\n{ a: half(3), b: [i * i for i in std.range(1, 3)], 'c': self.a > 1, d:: 'hidden', e: null } + { f: $.b[0] }\n";
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": 1.5, "b": [1, 4, 9], "c": true, "e": null, "f": 1})
        );
        assert_eq!(parse("function(x=1) { x: x }").unwrap(), json!({"x": 1}));
    }

    #[test]
    fn a_file_stands_alone_and_faults_have_their_line() {
        for (text, why) in [
            (
                "{\n  a: import 'other.libsonnet',\n}",
                "line 2: imports other.libsonnet",
            ),
            ("importstr '/etc/passwd'", "line 1: imports /etc/passwd"),
            ("{\n a: b }", "line 2: unknown variable: b"),
            ("{\n a: }", "line 2: unexpected"),
            ("{ a: 'x }", "line 1: no Jsonnet: unfinished string"),
            ("\nerror 'no'", "line 2: error: no"),
            ("local f(x) = f(x + 1); f(0)", "without an end"),
            ("std.extVar('HOME')", "no such external variable: HOME"),
            ("1 / 0", "line 1: div by zero"),
            ("function(x) x", "call param not bound"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}
