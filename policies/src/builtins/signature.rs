//! What a built-in function takes and gives, as OPA declares it.

use super::table::TABLE;

/// A type as OPA's checker knows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    /// Every value.
    Any,
    /// `null`.
    Null,
    /// `true` and `false`.
    Boolean,
    /// Numbers.
    Number,
    /// Strings.
    Str,
    /// Arrays of any length whose elements are all of one type.
    Array(&'static Type),
    /// Arrays of one length, each element of its own type.
    Tuple(&'static [Type]),
    /// Sets.
    Set(&'static Type),
    /// Objects by the types of their keys and values.
    Object(&'static Type, &'static Type),
    /// Objects with these keys and, maybe, more.
    Record(&'static [(&'static str, Type)]),
    /// Whatever one of these is.
    OneOf(&'static [Type]),
}

/// What sets a built-in function apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trait {
    /// Nothing.
    Plain,
    /// Written between its arguments.
    Infix,
    /// Gone from version 1 of the language.
    Deprecated,
    /// True of several results: `walk`.
    Relation,
    /// Takes any number of arguments: `print`.
    Variadic,
    /// The same arguments may give another result at another time.
    Nondeterministic,
}

/// A built-in function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature {
    /// Its name, as policies call it; an operator's is a word.
    pub(crate) name: &'static str,
    /// The types of its arguments.
    pub(crate) args: &'static [Type],
    /// The type of its result.
    pub(crate) result: Type,
    /// What sets it apart.
    pub(crate) kind: Trait,
}

/// The built-in function of a name, if OPA 1.10 or Conftest has one.
pub(crate) fn signature(name: &str) -> Option<&'static Signature> {
    let place = TABLE.binary_search_by(|row| row.name.cmp(name)).ok()?;
    TABLE.get(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_so_that_each_name_is_found() {
        assert!(TABLE.iter().all(|row| signature(row.name).is_some()));
        assert!(signature("array.flatten").is_none(), "a later version's");
        assert_eq!(signature("walk").map(|row| row.kind), Some(Trait::Relation));
    }
}
