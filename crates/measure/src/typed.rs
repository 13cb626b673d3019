//! Tables of a TOML document read as what they are to be: an error says which of them it is about, and which field.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use crate::budget::BudgetError;

/// Reads `table`, a part of what was read from `file`, as a `T`. An error calls it `name`.
///
/// # Errors
/// When a field is unknown, is missing or has a value that `T` does not take, with its line.
pub fn typed<T: DeserializeOwned>(
    file: &str,
    text: &str,
    name: &str,
    table: &Spanned<DeValue<'_>>,
) -> Result<T, BudgetError> {
    T::deserialize(ValueDeserializer::from(table.clone())).map_err(|error| {
        // An error about a value does not say whose value it is.
        let within = |span: std::ops::Range<usize>| error.span().is_some_and(|error| span.contains(&error.start));
        let mut fields = table.get_ref().as_table().into_iter().flatten();
        let of = fields.find(|(_, value)| within(value.span()));
        let of = of.map_or(String::new(), |(key, _)| format!("`{}`: ", key.get_ref()));
        let BudgetError { file, line, message } = BudgetError::from_toml(file, text, &error);
        BudgetError { file, line, message: format!("{name}: {of}{message}") }
    })
}
