//! Types as OPA's checker knows them, and its algebra of them: which can be of one value, what lies beneath, what two make together.
//!
//! A type that would grow beyond a bound is every value: less is refused then, never more.

use std::fmt;

use crate::builtins::Type;

/// How many members or properties a type tells apart.
const MOST: usize = 64;
/// How deep it looks into a value.
const DEEPEST: usize = 8;

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Is {
    Any,
    Null,
    Boolean,
    Number,
    Text,
    /// The first elements, and what any further ones are.
    Array(Vec<Is>, Option<Box<Is>>),
    /// Some properties, and what any further keys and values are.
    Object(Vec<(Constant, Is)>, Option<Box<(Is, Is)>>),
    Set(Box<Is>),
    /// One of these, at least two, none of them again such.
    One(Vec<Is>),
}

/// A constant that can be a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
}

impl Constant {
    fn is(&self) -> Is {
        match self {
            Self::Null => Is::Null,
            Self::Boolean(_) => Is::Boolean,
            Self::Number(_) => Is::Number,
            Self::Text(_) => Is::Text,
        }
    }
}

impl Is {
    pub(super) fn array(items: Vec<Self>) -> Self {
        match items.len() {
            0 => Self::list(Self::Any),
            1..=MOST => Self::Array(items, None).bounded(),
            _ => Self::list(Self::Any),
        }
    }

    pub(super) fn list(of: Self) -> Self {
        Self::Array(Vec::new(), Some(Box::new(of))).bounded()
    }

    pub(super) fn object(fields: Vec<(Constant, Self)>, more: Option<(Self, Self)>) -> Self {
        let more = match (fields.len(), more) {
            (0, None) => Some((Self::Any, Self::Any)),
            (_, more) => more,
        };
        match fields.len() {
            ..=MOST => Self::Object(fields, more.map(Box::new)).bounded(),
            _ => Self::Object(Vec::new(), Some(Box::new((Self::Any, Self::Any)))),
        }
    }

    pub(super) fn set(of: Self) -> Self {
        Self::Set(Box::new(of)).bounded()
    }

    fn bounded(self) -> Self {
        if self.depth() > DEEPEST { Self::Any } else { self }
    }

    fn depth(&self) -> usize {
        let beneath = match self {
            Self::Array(items, more) => items.iter().chain(more.as_deref()).map(Self::depth).max(),
            Self::Object(fields, more) => {
                let more = more.iter().flat_map(|more| [more.0.depth(), more.1.depth()]);
                fields.iter().map(|(_, is)| is.depth()).chain(more).max()
            }
            Self::Set(of) => Some(of.depth()),
            Self::One(members) => return members.iter().map(Self::depth).max().unwrap_or(0),
            _ => return 0,
        };
        beneath.unwrap_or(0) + 1
    }

    /// What is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        let members = |is: Self| match is {
            Self::One(members) => members,
            is => vec![is],
        };
        let mut all = members(self);
        for member in members(other) {
            if !all.contains(&member) {
                all.push(member);
            }
        }
        match all.len() {
            _ if all.contains(&Self::Any) => Self::Any,
            1 => all.remove(0),
            ..=MOST => Self::One(all),
            _ => Self::Any,
        }
    }

    /// What two definitions of one rule make together.
    pub(super) fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Set(one), Self::Set(other)) => Self::set(one.or(*other)),
            (Self::Object(none, Some(one)), Self::Object(nothing, Some(other)))
                if none.is_empty() && nothing.is_empty() =>
            {
                Self::object(Vec::new(), Some((one.0.or(other.0), one.1.merged(other.1))))
            }
            (one, other) => one.or(other),
        }
    }

    /// Whether a value can be of both types.
    pub(super) fn unifies(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::One(members), other) | (other, Self::One(members)) => members.iter().any(|one| one.unifies(other)),
            (Self::Array(items, more), Self::Array(others, most)) => {
                let fits = |items: &[Self], other: &Self| {
                    let element =
                        |(at, item): (usize, &Self)| other.element(at).is_some_and(|there| item.unifies(there));
                    items.iter().enumerate().all(element)
                };
                let open = more.as_ref().zip(most.as_ref());
                fits(items, other) && fits(others, self) && open.is_none_or(|(one, other)| one.unifies(other))
            }
            (Self::Object(fields, more), Self::Object(others, most)) => {
                let fits = |fields: &[(Constant, Self)], other: &Self| {
                    let field =
                        |(key, is): &(Constant, Self)| other.property(key).is_some_and(|there| is.unifies(there));
                    fields.iter().all(field)
                };
                let open = more.as_ref().zip(most.as_ref());
                fits(fields, other) && fits(others, self) && open.is_none_or(|(one, other)| one.1.unifies(&other.1))
            }
            (Self::Set(one), Self::Set(other)) => one.unifies(other),
            (one, other) => one == other,
        }
    }

    pub(super) fn element(&self, at: usize) -> Option<&Self> {
        match self {
            Self::Array(items, more) => items.get(at).or(more.as_deref()),
            _ => None,
        }
    }

    pub(super) fn property(&self, key: &Constant) -> Option<&Self> {
        let Self::Object(fields, more) = self else {
            return None;
        };
        let named = fields.iter().find(|(name, _)| name == key).map(|(_, is)| is);
        named.or_else(|| {
            let (keys, values) = &**more.as_ref()?;
            keys.unifies(&key.is()).then_some(values)
        })
    }

    /// What its keys are; `None` where it has none.
    pub(super) fn keys(&self) -> Option<Self> {
        match self {
            Self::Any => Some(Self::Any),
            Self::Array(..) => Some(Self::Number),
            Self::Object(fields, more) => {
                let more = more.iter().map(|more| more.0.clone());
                fields.iter().map(|(key, _)| key.is()).chain(more).reduce(Self::or)
            }
            Self::Set(of) => Some((**of).clone()),
            Self::One(members) => members.iter().filter_map(Self::keys).reduce(Self::or),
            _ => None,
        }
    }

    /// What lies at its keys.
    pub(super) fn values(&self) -> Option<Self> {
        match self {
            Self::Any => Some(Self::Any),
            Self::Array(items, more) => items.iter().chain(more.as_deref()).cloned().reduce(Self::or),
            Self::Object(fields, more) => {
                let more = more.iter().map(|more| more.1.clone());
                fields.iter().map(|(_, is)| is.clone()).chain(more).reduce(Self::or)
            }
            Self::Set(of) => Some((**of).clone()),
            Self::One(members) => members.iter().filter_map(Self::values).reduce(Self::or),
            _ => None,
        }
    }

    /// What lies at a constant key.
    pub(super) fn at(&self, key: &Constant) -> Option<Self> {
        match self {
            Self::Any => Some(Self::Any),
            Self::Array(..) => match key {
                Constant::Number(text) => self.element(text.parse().ok()?).cloned(),
                _ => None,
            },
            Self::Object(..) => self.property(key).cloned(),
            Self::Set(of) => of.unifies(&key.is()).then(|| key.is()),
            Self::One(members) => members.iter().filter_map(|one| one.at(key)).reduce(Self::or),
            _ => None,
        }
    }
}

impl From<&Type> for Is {
    fn from(declared: &Type) -> Self {
        match declared {
            // What a record may hold beyond its keys is not told.
            Type::Any => Self::Any,
            Type::Record(_) => Self::object(Vec::new(), None),
            Type::Null => Self::Null,
            Type::Boolean => Self::Boolean,
            Type::Number => Self::Number,
            Type::Str => Self::Text,
            Type::Array(of) => Self::list(Self::from(*of)),
            Type::Tuple(of) => Self::array(of.iter().map(Self::from).collect()),
            Type::Set(of) => Self::set(Self::from(*of)),
            Type::Object(keys, values) => Self::object(Vec::new(), Some((Self::from(*keys), Self::from(*values)))),
            Type::OneOf(types) => types.iter().map(Self::from).reduce(Self::or).unwrap_or(Self::Any),
        }
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Number(text) | Self::Text(text) => f.write_str(text),
        }
    }
}

/// As OPA writes types.
impl fmt::Display for Is {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Self]| items.iter().map(Self::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Any => f.write_str("any"),
            Self::Null => f.write_str("null"),
            Self::Boolean => f.write_str("boolean"),
            Self::Number => f.write_str("number"),
            Self::Text => f.write_str("string"),
            Self::Array(items, more) => {
                f.write_str("array")?;
                if !items.is_empty() {
                    write!(f, "<{}>", list(items))?;
                }
                more.iter().try_for_each(|more| write!(f, "[{more}]"))
            }
            Self::Object(fields, more) => {
                f.write_str("object")?;
                if !fields.is_empty() {
                    let fields: Vec<String> = fields.iter().map(|(key, is)| format!("{key}: {is}")).collect();
                    write!(f, "<{}>", fields.join(", "))?;
                }
                more.iter().try_for_each(|more| write!(f, "[{}: {}]", more.0, more.1))
            }
            Self::Set(of) => write!(f, "set[{of}]"),
            Self::One(members) => write!(f, "any<{}>", list(members)),
        }
    }
}
