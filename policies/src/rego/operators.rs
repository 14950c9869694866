//! Functions that the passes put in the place of operators: the engine registers them under these names.

/// `+`
pub(crate) const PLUS: &str = "rego_plus";
/// `-`, of numbers and of sets
pub(crate) const MINUS: &str = "rego_minus";
/// `*`
pub(crate) const TIMES: &str = "rego_times";
/// `/`
pub(crate) const DIVIDE: &str = "rego_divide";
/// `%`
pub(crate) const REMAINDER: &str = "rego_remainder";
/// Its argument if that has elements, else undefined.
pub(crate) const ELEMENTS: &str = "rego_elements";
/// Whether its first argument is an object of as many keys as its second says.
pub(crate) const FIELDS: &str = "rego_fields";
/// True; takes note that the body of this number is begun.
pub(crate) const ENTERED: &str = "rego_entered";
/// Its second argument; takes note that the body of this number has held.
pub(crate) const HELD: &str = "rego_held";
