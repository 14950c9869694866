//! The syntax tree of one Rego file.
//!
//! Two trees are equal when they say the same, wherever they stand: spans take no part in comparison. A node that a
//! pass made has no line of its own and is printed on the line where the printer stands.

/// Bytes `start..end` of a file, beginning on `line` (one-based; zero for what no file holds).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) line: u32,
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

/// The version of the language that a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `if` and `contains` are optional, and names until imported.
    V0,
    /// Rego 1.
    V1,
}

/// A name where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A term or an infix expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    /// Decoded; raw and quoted strings are one.
    String(String),
    Var(String),
    /// What stands in front, and at least one index; `.x` is `["x"]`.
    Ref(Box<Expr>, Vec<Expr>),
    /// A name or a path of names, and arguments.
    Call(Box<Expr>, Vec<Expr>),
    Array(Vec<Expr>),
    Set(Vec<Expr>),
    Object(Vec<(Expr, Expr)>),
    ArrayOf(Box<Expr>, Body),
    SetOf(Box<Expr>, Body),
    ObjectOf(Box<Expr>, Box<Expr>, Body),
    Infix(Operator, Box<Expr>, Box<Expr>),
    /// `value in domain`, `key, value in domain`.
    Member(Option<Box<Expr>>, Box<Expr>, Box<Expr>),
}

/// An infix operator, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Or,
    And,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
}

impl Operator {
    /// As it is written.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Or => "|",
            Self::And => "&",
            Self::Plus => "+",
            Self::Minus => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }

    /// The built-in function that it stands for.
    pub(crate) fn function(self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::NotEqual => "neq",
            Self::Less => "lt",
            Self::LessOrEqual => "lte",
            Self::Greater => "gt",
            Self::GreaterOrEqual => "gte",
            Self::Or => "or",
            Self::And => "and",
            Self::Plus => "plus",
            Self::Minus => "minus",
            Self::Times => "mul",
            Self::Divide => "div",
            Self::Remainder => "rem",
        }
    }

    /// How tightly it binds.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::Equal | Self::NotEqual | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 1,
            Self::Or => 2,
            Self::And => 3,
            Self::Plus | Self::Minus => 4,
            Self::Times | Self::Divide | Self::Remainder => 5,
        }
    }
}

/// Statements, all of which must hold.
pub(crate) type Body = Vec<Statement>;

/// One statement of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) span: Span,
    pub(crate) negated: bool,
    pub(crate) what: What,
    pub(crate) with: Vec<With>,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Expr(Expr),
    /// `:=`
    Assign(Expr, Expr),
    /// `=`
    Unify(Expr, Expr),
    Some(Vec<Name>),
    SomeIn {
        key: Option<Expr>,
        value: Expr,
        domain: Expr,
    },
    Every {
        key: Option<Name>,
        value: Name,
        domain: Expr,
        body: Body,
    },
}

/// `with target as value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct With {
    pub(crate) span: Span,
    pub(crate) target: Expr,
    pub(crate) value: Expr,
}

/// How a head is given its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// `=`
    Unify,
    /// `:=`
    Assign,
}

/// What a rule defines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) span: Span,
    /// The first part of the path is a name.
    pub(crate) name: Name,
    /// The rest of the path.
    pub(crate) path: Vec<Expr>,
    pub(crate) args: Option<Vec<Expr>>,
    /// The element of a partial set.
    pub(crate) key: Option<Expr>,
    /// Whether the element was written after `contains`.
    pub(crate) contains: bool,
    pub(crate) value: Option<(Sign, Expr)>,
}

/// `else`, with its value and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Else {
    pub(crate) span: Span,
    pub(crate) value: Option<(Sign, Expr)>,
    pub(crate) has_if: bool,
    pub(crate) body: Option<Body>,
}

/// One rule as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) span: Span,
    pub(crate) default: bool,
    pub(crate) head: Head,
    pub(crate) has_if: bool,
    pub(crate) body: Option<Body>,
    pub(crate) otherwise: Vec<Else>,
    /// Further bodies of version 0, each with its own span.
    pub(crate) more: Vec<(Span, Body)>,
}

impl Rule {
    /// `name[path](args) := value { body }`, that no file holds.
    pub(crate) fn made(name: &str, path: Vec<Expr>, args: Option<Vec<Expr>>, value: Expr, body: Option<Body>) -> Self {
        let name = Name {
            text: name.to_owned(),
            span: Span::default(),
        };
        Self {
            span: Span::default(),
            default: false,
            head: Head {
                span: Span::default(),
                name,
                path,
                args,
                key: None,
                contains: false,
                value: Some((Sign::Assign, value)),
            },
            has_if: body.is_some(),
            body,
            otherwise: Vec::new(),
            more: Vec::new(),
        }
    }

    /// Whether it gives `true`, and is no set.
    pub(crate) fn is_truth(&self) -> bool {
        let value = self.head.value.as_ref();
        self.head.key.is_none() && value.is_none_or(|(_, value)| value.kind == Kind::Bool(true))
    }
}

/// An import as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) span: Span,
    pub(crate) path: Vec<String>,
    pub(crate) alias: Option<String>,
}

impl Import {
    /// The name by which the module speaks of what is imported.
    pub(crate) fn name(&self) -> &str {
        self.alias
            .as_deref()
            .or_else(|| self.path.last().map(String::as_str))
            .unwrap_or_default()
    }

    /// Whether it only turns keywords on.
    pub(crate) fn is_keyword(&self) -> bool {
        matches!(self.path.first().map(String::as_str), Some("future" | "rego"))
    }
}

/// A comment, without its `#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    pub(crate) span: Span,
    pub(crate) text: String,
    /// The column of its `#`, zero-based, in bytes.
    pub(crate) column: u32,
}

/// One parsed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) dialect: Dialect,
    /// The package without `data`.
    pub(crate) package: Vec<String>,
    pub(crate) package_span: Span,
    pub(crate) imports: Vec<Import>,
    pub(crate) rules: Vec<Rule>,
}

impl Expr {
    /// A node that no file holds.
    pub(crate) fn made(kind: Kind) -> Self {
        Self {
            kind,
            span: Span::default(),
        }
    }

    /// A variable that no file holds.
    pub(crate) fn var(name: &str) -> Self {
        Self::made(Kind::Var(name.to_owned()))
    }

    /// A string that no file holds.
    pub(crate) fn string(text: &str) -> Self {
        Self::made(Kind::String(text.to_owned()))
    }

    /// `first.second.third` of names.
    pub(crate) fn path(parts: &[String]) -> Self {
        match parts.split_first() {
            None => Self::made(Kind::Null),
            Some((first, [])) => Self::var(first),
            Some((first, rest)) => Self::made(Kind::Ref(
                Box::new(Self::var(first)),
                rest.iter().map(|part| Self::string(part)).collect(),
            )),
        }
    }

    /// The name, if it is one.
    pub(crate) fn as_var(&self) -> Option<&str> {
        match &self.kind {
            Kind::Var(name) => Some(name),
            _ => None,
        }
    }

    /// The constant path at the front (`data.a[x].b` gives `data`, `a`) and whether it is the whole.
    pub(crate) fn prefix(&self) -> Option<(Vec<&str>, bool)> {
        match &self.kind {
            Kind::Var(name) => Some((vec![name], true)),
            Kind::Ref(head, parts) => {
                let mut path = vec![head.as_var()?];
                for part in parts {
                    match &part.kind {
                        Kind::String(text) => path.push(text),
                        _ => return Some((path, false)),
                    }
                }
                Some((path, true))
            }
            _ => None,
        }
    }

    /// The whole as a constant path, joined by dots.
    pub(crate) fn dotted(&self) -> Option<String> {
        self.prefix()
            .filter(|(_, whole)| *whole)
            .map(|(path, _)| path.join("."))
    }

    /// Whether it is null, true, a number or the like.
    pub(crate) fn is_scalar(&self) -> bool {
        matches!(
            self.kind,
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::String(_)
        )
    }
}

impl Statement {
    /// A statement that no file holds.
    pub(crate) fn made(what: What) -> Self {
        Self {
            span: Span::default(),
            negated: false,
            what,
            with: Vec::new(),
        }
    }
}

impl Head {
    /// The constant parts at the front of its path, with its name.
    pub(crate) fn constant(&self) -> Vec<&str> {
        let mut path = vec![self.name.text.as_str()];
        for part in &self.path {
            match &part.kind {
                Kind::String(text) => path.push(text),
                _ => break,
            }
        }
        path
    }

    /// Whether every part of its path is constant.
    pub(crate) fn is_constant(&self) -> bool {
        self.path.iter().all(Expr::is_scalar)
    }
}
