//! Whether every row of a suite is what one of its drivers takes: asked before a run begins.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::context::{SUITE_SETS, json};
use crate::error::Result;
use crate::parameters::Rows;
use crate::suite::Suite;

/// The test in each suite's `tests/model.rs` that calls [`Suite::check`]. `xtask run` runs it before anything else, because only
/// the suite knows what its rows are made of.
pub const ROWS_TEST: &str = "every_row_is_of_one_kind";

/// Variable with the rows of the run, a JSON list: overrides are for them and not for the suite's others.
pub const RUN_ROWS: &str = "KUBEDYNO_RUN_ROWS";

type Sets = BTreeMap<String, String>;

/// A type that some driver of a suite takes as the parameters of a row.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    read: fn(&Rows, &str, &Sets) -> Result<()>,
    knows: fn(&str) -> bool,
}

impl Kind {
    /// The kind of rows that are read as `T`, which has to refuse unknown fields.
    pub fn of<T: DeserializeOwned>() -> Self {
        Self { read: |rows, name, sets| rows.row::<T>(name, sets).map(drop), knows: knows::<T> }
    }
}

impl Suite {
    /// Reads every row as the one of `kinds` that it is, those of the run that is about to begin with its overrides.
    ///
    /// # Errors
    /// For the first row that is of none or of several, or whose needs are no parameters of it that count: with its line.
    pub fn check(&self, kinds: &[Kind]) -> Result<()> {
        let (sets, none) = (json(SUITE_SETS)?.unwrap_or_default(), Sets::new());
        let of_run: Vec<String> = json(RUN_ROWS)?.unwrap_or_default();
        let rows = self.rows()?;
        rows.names().try_for_each(|name| {
            let sets = if of_run.iter().any(|row| row == name) { &sets } else { &none };
            rows.check(name, sets, kinds)
        })
    }
}

impl Rows {
    fn check(&self, name: &str, sets: &Sets, kinds: &[Kind]) -> Result<()> {
        let read = kinds.iter().map(|kind| (kind, (kind.read)(self, name, sets)));
        let (fitting, others): (Vec<_>, Vec<_>) = read.partition(|(_, read)| read.is_ok());
        match fitting.len() {
            // Only now: a misspelt parameter is told where it stands, and not where it is missed.
            1 => self.needs(name, sets).map(drop),
            0 => {
                // What the row was meant to be is told by its keys; the last of equals is what has the fewest of them.
                let known = |kind: &Kind| self.keys(name).filter(|key| (kind.knows)(key)).count();
                others.into_iter().max_by_key(|(kind, _)| known(kind)).map_or(Ok(()), |(_, read)| read)
            }
            n => Err(self.error(&["row", name], format!("row `{name}` could be of {n} kinds")).into()),
        }
    }
}

/// Whether `T` has a field called `key`. Its own derived reader says so, which refuses an unknown field before all else.
fn knows<T: DeserializeOwned>(key: &str) -> bool {
    let row = toml::Table::from_iter([(key.to_owned(), toml::Value::Boolean(true))]);
    row.try_into::<T>().map_or_else(|error| !error.message().starts_with("unknown field"), |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Pool {
        #[serde(deserialize_with = "crate::at_least_one")]
        nodes: u32,
        seed: u64,
    }

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Load {
        profile: String,
        pods: u32,
        seed: u64,
    }

    const ROWS: &str = "[row.pool]\nnodes = 1\nseed = 1\n[row.load]\nprofile = \"x\"\npods = 1\nseed = 1\n";

    fn check(text: &str, row: &str, sets: &[(&str, &str)]) -> Result<(), String> {
        let rows = Rows::parse("parameters.toml", text).unwrap();
        let sets = sets.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        rows.check(row, &sets, &[Kind::of::<Pool>(), Kind::of::<Load>()]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_of_one_kind_is_sound() {
        assert_eq!(check(ROWS, "pool", &[("nodes", "5")]), Ok(()));
        assert_eq!(check(ROWS, "load", &[]), Ok(()));
    }

    /// The error is that of the kind which the row was meant to be, not that of any other.
    #[rstest]
    #[case::unknown(
        "load",
        "pods = 1",
        "pdos = 1",
        "6: row `load`: unknown field `pdos`, expected one of `profile`, `pods`, `seed`"
    )]
    #[case::wrong_type(
        "load",
        "pods = 1",
        "pods = \"x\"",
        "6: row `load`: `pods`: invalid type: string \"x\", expected u32"
    )]
    #[case::missing("load", "pods = 1\n", "", "4: row `load`: missing field `pods`")]
    #[case::zero(
        "pool",
        "nodes = 1",
        "nodes = 0",
        "2: row `pool`: `nodes`: invalid value: integer `0`, expected at least 1"
    )]
    fn a_malformed_row_is_told_with_its_line(
        #[case] row: &str,
        #[case] from: &str,
        #[case] to: &str,
        #[case] message: &str,
    ) {
        assert_eq!(check(&ROWS.replace(from, to), row, &[]), Err(format!("parameters.toml:{message}")));
    }

    const NEEDS: &str = "[needs.load]\npods = [\"pods\"]\n";

    #[rstest]
    #[case::sound("", "", Ok(()))]
    #[case::a_parameter_that_is_not_there(
        "[\"pods\"]",
        "[\"replicas\"]",
        Err("9: needs of row `load`: it has no parameter `replicas`")
    )]
    #[case::no_count(
        "[\"pods\"]",
        "[\"profile\"]",
        Err("5: row `load`: `profile` is \"x\", and no count, as `[needs.load]` takes it to be")
    )]
    #[case::a_misspelt_parameter(
        "pods = 1",
        "pdos = 1",
        Err("6: row `load`: unknown field `pdos`, expected one of `profile`, `pods`, `seed`")
    )]
    fn needs_are_checked_of_a_row_that_is_sound_without(
        #[case] from: &str,
        #[case] to: &str,
        #[case] checked: Result<(), &str>,
    ) {
        let text = format!("{ROWS}{NEEDS}").replace(from, to);
        assert_eq!(check(&text, "load", &[]), checked.map_err(|message| format!("parameters.toml:{message}")));
    }

    #[test]
    fn a_row_of_several_kinds_is_refused() {
        let rows = Rows::parse("parameters.toml", ROWS).unwrap();
        let error = rows.check("pool", &Sets::new(), &[Kind::of::<Pool>(), Kind::of::<Pool>()]).unwrap_err();
        assert_eq!(error.to_string(), "parameters.toml:1: row `pool` could be of 2 kinds");
    }
}
