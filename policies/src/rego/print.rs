//! From the tree back to text, every node on the line that it came from.
//!
//! Comments are not printed and everything else is spelled in one way: statements end in `;`, nested operators stand in
//! round brackets, strings on one line. What a pass made has no line and is printed where the printer stands; what
//! would have to go up is an error, so that no pass can move a line unnoticed.

use super::ast::{Body, Dialect, Else, Expr, Head, Kind, Module, Operator, Rule, Sign, Span, Statement, What};

/// A node that could only be printed below the line that it came from: this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moved(pub(crate) u32);

/// Prints a module.
pub(crate) fn print(module: &Module) -> Result<String, Moved> {
    let mut printer = Printer {
        text: String::new(),
        line: 1,
        moved: None,
    };
    printer.module(module);
    printer.text.push('\n');
    match printer.moved {
        Some(line) => Err(Moved(line)),
        None => Ok(printer.text),
    }
}

struct Printer {
    text: String,
    line: u32,
    moved: Option<u32>,
}

impl Printer {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Goes down to where a node came from.
    fn at(&mut self, span: Span) {
        if span.line == 0 {
            return;
        }
        if span.line < self.line {
            self.moved.get_or_insert(span.line);
        }
        while self.line < span.line {
            self.text.push('\n');
            self.line += 1;
        }
    }

    fn module(&mut self, module: &Module) {
        self.at(module.package_span);
        self.put("package ");
        self.path(&module.package);
        let mut imports = module.imports.iter().peekable();
        for rule in &module.rules {
            while let Some(import) = imports.next_if(|import| import.span.start < rule.span.start) {
                self.import(import);
            }
            self.rule(rule, module.dialect);
        }
        imports.for_each(|import| self.import(import));
    }

    fn import(&mut self, import: &super::ast::Import) {
        self.gap(import.span);
        self.put("import ");
        self.path(&import.path);
        if let Some(alias) = &import.alias {
            self.put(" as ");
            self.put(alias);
        }
    }

    /// White space or a line's end before the next item.
    fn gap(&mut self, span: Span) {
        self.put(" ");
        self.at(span);
    }

    fn path(&mut self, path: &[String]) {
        for (place, part) in path.iter().enumerate() {
            match place {
                0 if is_name(part) => self.put(part),
                _ => self.part(part),
            }
        }
    }

    /// `.name` or `["name"]`
    fn part(&mut self, part: &str) {
        if is_name(part) {
            self.put(".");
            self.put(part);
        } else {
            self.put("[");
            self.string(part);
            self.put("]");
        }
    }

    fn string(&mut self, text: &str) {
        match serde_json::to_string(text) {
            Ok(quoted) => self.put(&quoted),
            Err(_) => self.put("\"\""),
        }
    }

    fn rule(&mut self, rule: &Rule, dialect: Dialect) {
        self.gap(rule.span);
        if rule.default {
            self.put("default ");
        }
        self.head(&rule.head);
        if let Some(body) = &rule.body {
            self.block(body, rule.has_if || dialect == Dialect::V1);
        }
        for otherwise in &rule.otherwise {
            self.otherwise(otherwise, dialect);
        }
        for (span, body) in &rule.more {
            self.put(" ");
            self.at(*span);
            self.block(body, false);
        }
    }

    fn head(&mut self, head: &Head) {
        self.at(head.name.span);
        self.put(&head.name.text);
        for part in &head.path {
            self.index(part);
        }
        if let Some(args) = &head.args {
            self.put("(");
            self.list(args);
            self.put(")");
        }
        match &head.key {
            Some(key) if head.contains => {
                self.put(" contains ");
                self.expr(key);
            }
            Some(key) => self.index(key),
            None => {}
        }
        self.value(head.value.as_ref());
    }

    fn value(&mut self, value: Option<&(Sign, Expr)>) {
        if let Some((sign, value)) = value {
            self.put(if *sign == Sign::Assign { " := " } else { " = " });
            self.expr(value);
        }
    }

    fn block(&mut self, body: &Body, has_if: bool) {
        self.put(if has_if { " if { " } else { " { " });
        self.body(body);
        self.put(" }");
    }

    fn otherwise(&mut self, otherwise: &Else, dialect: Dialect) {
        self.put(" ");
        self.at(otherwise.span);
        self.put("else");
        self.value(otherwise.value.as_ref());
        if let Some(body) = &otherwise.body {
            self.block(body, otherwise.has_if || dialect == Dialect::V1);
        }
    }

    fn body(&mut self, body: &Body) {
        for (place, statement) in body.iter().enumerate() {
            if place > 0 {
                self.put("; ");
            }
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        self.at(statement.span);
        if statement.negated {
            self.put("not ");
        }
        match &statement.what {
            // `{ a | b }` is a comprehension.
            What::Expr(expr) if matches!(expr.kind, Kind::Infix(Operator::Or, ..)) => self.operand(expr),
            What::Expr(expr) => self.expr(expr),
            What::Assign(lhs, rhs) => self.pair(lhs, " := ", rhs),
            What::Unify(lhs, rhs) => self.pair(lhs, " = ", rhs),
            What::Some(names) => {
                self.put("some ");
                for (place, name) in names.iter().enumerate() {
                    if place > 0 {
                        self.put(", ");
                    }
                    self.put(&name.text);
                }
            }
            What::SomeIn { key, value, domain } => {
                self.put("some ");
                if let Some(key) = key {
                    self.operand(key);
                    self.put(", ");
                }
                self.pair(value, " in ", domain);
            }
            What::Every {
                key,
                value,
                domain,
                body,
            } => {
                self.put("every ");
                if let Some(key) = key {
                    self.put(&key.text);
                    self.put(", ");
                }
                self.put(&value.text);
                self.put(" in ");
                self.operand(domain);
                self.block(body, false);
            }
        }
        for with in &statement.with {
            self.put(" ");
            self.at(with.span);
            self.put("with ");
            self.expr(&with.target);
            self.put(" as ");
            self.operand(&with.value);
        }
    }

    fn pair(&mut self, lhs: &Expr, between: &str, rhs: &Expr) {
        self.operand(lhs);
        self.put(between);
        self.operand(rhs);
    }

    fn list(&mut self, items: &[Expr]) {
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                self.put(", ");
            }
            self.operand(item);
        }
    }

    /// An expression where an operator would bind otherwise.
    fn operand(&mut self, expr: &Expr) {
        let nested = matches!(expr.kind, Kind::Infix(..) | Kind::Member(..));
        if nested {
            self.at(expr.span);
            self.put("(");
        }
        self.expr(expr);
        if nested {
            self.put(")");
        }
    }

    fn index(&mut self, index: &Expr) {
        match &index.kind {
            // A point may not begin a line.
            Kind::String(text) => self.part(text),
            _ => {
                self.put("[");
                self.operand(index);
                self.put("]");
            }
        }
    }

    fn comprehension(&mut self, body: &Body, close: &str) {
        self.put(" | ");
        self.body(body);
        self.put(close);
    }

    fn expr(&mut self, expr: &Expr) {
        self.at(expr.span);
        match &expr.kind {
            Kind::Null => self.put("null"),
            Kind::Bool(true) => self.put("true"),
            Kind::Bool(false) => self.put("false"),
            Kind::Number(text) => self.put(text),
            Kind::String(text) => self.string(text),
            Kind::Var(name) if name.starts_with('$') => self.put("_"),
            Kind::Var(name) => self.put(name),
            Kind::Ref(head, parts) => {
                self.operand(head);
                parts.iter().for_each(|part| self.index(part));
            }
            Kind::Call(function, args) => {
                self.function(function);
                self.put("(");
                self.list(args);
                self.put(")");
            }
            Kind::Array(items) => {
                self.put("[");
                self.list(items);
                self.put("]");
            }
            Kind::Set(items) if items.is_empty() => self.put("set()"),
            Kind::Set(items) => {
                self.put("{");
                self.list(items);
                self.put("}");
            }
            Kind::Object(fields) => {
                self.put("{");
                for (place, (key, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        self.put(", ");
                    }
                    self.pair(key, ": ", value);
                }
                self.put("}");
            }
            Kind::ArrayOf(term, body) => {
                self.put("[");
                self.operand(term);
                self.comprehension(body, "]");
            }
            Kind::SetOf(term, body) => {
                self.put("{");
                self.operand(term);
                self.comprehension(body, "}");
            }
            Kind::ObjectOf(key, value, body) => {
                self.put("{");
                self.pair(key, ": ", value);
                self.comprehension(body, "}");
            }
            Kind::Infix(operator, lhs, rhs) => {
                self.operand(lhs);
                self.put(" ");
                self.put(operator.text());
                self.put(" ");
                self.operand(rhs);
            }
            Kind::Member(key, value, domain) => {
                if let Some(key) = key {
                    self.operand(key);
                    self.put(", ");
                }
                self.pair(value, " in ", domain);
            }
        }
    }

    /// What is called, by dots throughout.
    fn function(&mut self, function: &Expr) {
        match &function.kind {
            Kind::Ref(head, parts) => {
                self.expr(head);
                for part in parts {
                    // A call is a path of names; brackets would make it a lookup.
                    match &part.kind {
                        Kind::String(text) if is_name(text) => {
                            self.put(".");
                            self.put(text);
                        }
                        _ => self.index(part),
                    }
                }
            }
            _ => self.expr(function),
        }
    }
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
