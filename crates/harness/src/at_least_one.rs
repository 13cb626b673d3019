//! Counts of things that have to be there.

use serde::de::{Deserialize, Deserializer, Error as _, Unexpected};

/// Reads a parameter that means nothing when it is 0, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When it is 0 or below, or no `T`.
pub fn at_least_one<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Copy + TryInto<u64>,
{
    let count = T::deserialize(deserializer)?;
    let refused = |unexpected| Err(D::Error::invalid_value(unexpected, &"at least 1"));
    match count.try_into() {
        Ok(0) => refused(Unexpected::Unsigned(0)),
        Ok(_) => Ok(count),
        Err(_) => refused(Unexpected::Other("integer below zero")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[derive(Debug, serde::Deserialize)]
    struct Row {
        #[serde(deserialize_with = "at_least_one")]
        count: i64,
    }

    #[rstest]
    #[case::zero("0", "integer `0`")]
    #[case::below_zero("-3", "integer below zero")]
    fn what_is_no_count_is_refused(#[case] count: &str, #[case] what: &str) {
        assert_eq!(toml::from_str::<Row>("count = 1").unwrap().count, 1);
        let error = toml::from_str::<Row>(&format!("count = {count}")).unwrap_err();
        assert_eq!(error.message(), format!("invalid value: {what}, expected at least 1"));
    }
}
