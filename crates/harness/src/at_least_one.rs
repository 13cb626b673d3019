//! Counts of things that have to be there.

use serde::de::{Deserialize, Deserializer, Error as _, Unexpected};

/// Reads a parameter that means nothing when it is 0, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When it is 0, or no `T`.
pub fn at_least_one<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let count = T::deserialize(deserializer)?;
    match count == T::default() {
        true => Err(D::Error::invalid_value(Unexpected::Unsigned(0), &"at least 1")),
        false => Ok(count),
    }
}
