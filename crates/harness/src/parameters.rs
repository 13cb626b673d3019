//! `parameters.toml`: what each row of a suite is run with, and its overrides.

use std::collections::BTreeMap;

use cluster::Needs;
use measure::BudgetError;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The rows of a `parameters.toml`: `programs`, what the suite tests; `disturbed`, the rows that run only where a test disturbs or
/// breaks something; `[row.NAME]` tables, what each takes in `[cost.NAME]`,
/// in `[needs.NAME]` what it needs of a cluster of others, and in `[absent.NAME]` what it needs that is nowhere to be had.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    #[serde(default)]
    programs: Vec<String>,
    #[serde(default)]
    disturbed: Vec<String>,
    #[serde(rename = "row")]
    rows: BTreeMap<String, toml::Table>,
    #[serde(default, rename = "cost")]
    costs: BTreeMap<String, Cost>,
    #[serde(default, rename = "needs")]
    needs: BTreeMap<String, Factors>,
    #[serde(default, rename = "absent")]
    absent: BTreeMap<String, Absent>,
}

/// Why a row cannot run anywhere as things are.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Absent {
    needs: String,
}

/// Parameters whose product is the number of objects that a row creates.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Factors {
    #[serde(default)]
    nodes: Vec<String>,
    #[serde(default)]
    pods: Vec<String>,
}

/// What a row was measured to take, for whoever is about to start it.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Minutes on two cores.
    pub minutes: f64,
    /// Disk in MiB.
    pub disk_mib: u64,
}

impl Rows {
    /// Reads a `parameters.toml`.
    ///
    /// # Errors
    /// When it is no such file, with the line.
    pub fn parse(file: &str, text: &str) -> Result<Self, BudgetError> {
        toml::from_str(text).map_err(|error| BudgetError::from_toml(file, text, &error))
    }

    /// The programs of the system under test, by their names in `tools list`.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.programs.iter().map(String::as_str)
    }

    /// The names of the rows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// The rows that run only where a test disturbs or breaks something: nobody can ask for them.
    pub fn disturbed(&self) -> impl Iterator<Item = &str> {
        self.disturbed.iter().map(String::as_str)
    }

    /// What the row `name` takes, if it was measured.
    pub fn cost(&self, name: &str) -> Option<&Cost> {
        self.costs.get(name)
    }

    /// What the row `name` needs of a cluster of others, with `sets` applied; `None` for one that may only run on
    /// clusters that this project made.
    ///
    /// # Errors
    /// When its needs name a parameter that it does not have, or that is no count.
    pub fn needs(&self, file: &str, name: &str, sets: &BTreeMap<String, String>) -> Result<Option<Needs>> {
        let Some(factors) = self.needs.get(name) else { return Ok(None) };
        let (_, parameters, _) = self.row::<toml::Table>(file, name, sets)?;
        let product = |factors: &[String]| {
            let counts = factors.iter().map(|factor| {
                let count = parameters.get(factor).and_then(toml::Value::as_integer);
                count.and_then(|count| u64::try_from(count).ok()).ok_or_else(|| {
                    let message = format!("{file}: needs of row `{name}`: `{factor}` is no count among its parameters");
                    Error::Environment(message)
                })
            });
            let counts = counts.collect::<Result<Vec<u64>>>()?;
            Ok::<_, Error>(counts.into_iter().reduce(u64::saturating_mul).unwrap_or(0))
        };
        Ok(Some(Needs { nodes: product(&factors.nodes)?, pods: product(&factors.pods)? }))
    }

    /// The rows that have needs.
    pub fn with_needs(&self) -> impl Iterator<Item = &str> {
        self.needs.keys().map(String::as_str)
    }

    /// The rows that need something absent, each with what that is. They are outside the default selection.
    pub fn absent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.absent.iter().map(|(row, absent)| (row.as_str(), absent.needs.as_str()))
    }

    /// Whether some row has the parameter `key`, and a value of the type of `value`.
    ///
    /// # Errors
    /// When none has it, naming those that there are; when the type differs.
    pub fn accepts(&self, key: &str, value: &str) -> Result<(), String> {
        let with_key: Vec<_> = self.rows.values().filter_map(|row| row.get(key)).collect();
        let Some(old) = with_key.first() else {
            let mut known: Vec<&str> = self.rows.values().flat_map(|row| row.keys().map(String::as_str)).collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!("there is no parameter `{key}`; there are {}", known.join(", ")));
        };
        override_parameter(old, value).map(drop).map_err(|reason| format!("parameter `{key}`: {reason}"))
    }

    /// The parameters of `row` with `sets` applied, and the overridden ones.
    ///
    /// # Errors
    /// When there is no such row, a parameter is unknown, or a value has another type than the file's.
    pub fn row<T: DeserializeOwned>(
        &self,
        file: &str,
        row: &str,
        sets: &BTreeMap<String, String>,
    ) -> Result<(T, toml::Table, toml::Table)> {
        let bad = |message: String| Error::Environment(format!("{file}: row `{row}`: {message}"));
        let mut table = self.rows.get(row).cloned().ok_or_else(|| bad("there is no such row".to_owned()))?;
        let mut overridden = toml::Table::new();
        for (key, value) in sets {
            if let Some(old) = table.get(key) {
                let value = override_parameter(old, value).map_err(|reason| bad(format!("`{key}`: {reason}")))?;
                overridden.insert(key.clone(), value.clone());
                table.insert(key.clone(), value);
            }
        }
        let typed = table.clone().try_into().map_err(|error: toml::de::Error| bad(error.message().to_owned()))?;
        Ok((typed, table, overridden))
    }
}

/// Reads `text` as a value of the type of `old`.
///
/// # Errors
/// When it is none.
fn override_parameter(old: &toml::Value, text: &str) -> Result<toml::Value, String> {
    let wrong = |kind: &str| format!("`{text}` is no {kind}, as {old} is");
    match old {
        // All of them are counts.
        toml::Value::Integer(_) => match text.parse() {
            Ok(count) if count > i64::from(u32::MAX) => Err(format!("`{text}` is more than {}", u32::MAX)),
            Ok(count) if count >= 0 => Ok(toml::Value::Integer(count)),
            Ok(_) => Err(format!("`{text}` is below zero")),
            Err(_) => Err(wrong("whole number")),
        },
        toml::Value::Float(_) => text.parse().map(toml::Value::Float).map_err(|_| wrong("number")),
        toml::Value::Boolean(_) => text.parse().map(toml::Value::Boolean).map_err(|_| wrong("`true` or `false`")),
        toml::Value::String(_) => Ok(toml::Value::String(text.to_owned())),
        _ => Err(format!("`{old}` cannot be overridden from the command line")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FILE: &str = "[row.smoke]\nnodes = 200\nimage = \"pause\"\n";

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        nodes: u32,
        image: String,
    }

    fn sets(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn an_override_replaces_a_value_and_is_told() {
        let rows = Rows::parse("parameters.toml", FILE).unwrap();
        let (row, table, overridden) = rows.row::<Row>("parameters.toml", "smoke", &sets("nodes", "5")).unwrap();
        assert_eq!((row.nodes, row.image.as_str()), (5, "pause"));
        assert_eq!(table["nodes"], toml::Value::Integer(5));
        assert_eq!(overridden.len(), 1);
    }

    const NEEDY: &str = "[row.smoke]\nnodes = 200\ndeployments = 10\nreplicas = 100\nimage = \"pause\"\n\
        [needs.smoke]\nnodes = [\"nodes\"]\npods = [\"deployments\", \"replicas\"]\n";

    #[rstest]
    #[case::as_it_stands("smoke", None, Some((200, 1000)))]
    #[case::with_an_override("smoke", Some(("replicas", "3")), Some((200, 30)))]
    #[case::one_that_needs_a_cluster_of_ours("other", None, None)]
    fn what_a_row_needs_follows_from_its_parameters(
        #[case] row: &str,
        #[case] set: Option<(&str, &str)>,
        #[case] needs: Option<(u64, u64)>,
    ) {
        let rows = Rows::parse("parameters.toml", NEEDY).unwrap();
        let sets = set.map(|(key, value)| sets(key, value)).unwrap_or_default();
        let found = rows.needs("parameters.toml", row, &sets).unwrap();
        assert_eq!(found.map(|needs| (needs.nodes, needs.pods)), needs);
    }

    #[rstest]
    #[case::unknown("pods = [\"deployment\"]", "needs of row `smoke`: `deployment` is no count among its parameters")]
    #[case::no_count("pods = [\"image\"]", "needs of row `smoke`: `image` is no count among its parameters")]
    fn needs_that_name_no_count_are_refused(#[case] pods: &str, #[case] message: &str) {
        let text = NEEDY.replace("pods = [\"deployments\", \"replicas\"]", pods);
        let rows = Rows::parse("parameters.toml", &text).unwrap();
        let error = rows.needs("parameters.toml", "smoke", &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, format!("parameters.toml: {message}"));
    }

    #[rstest]
    #[case::unknown("node", "5", "there is no parameter `node`; there are image, nodes")]
    #[case::wrong_type("nodes", "many", "parameter `nodes`: `many` is no whole number, as 200 is")]
    #[case::below_zero("nodes", "-1", "parameter `nodes`: `-1` is below zero")]
    fn a_bad_override_names_the_parameter(#[case] key: &str, #[case] value: &str, #[case] message: &str) {
        let rows = Rows::parse("parameters.toml", FILE).unwrap();
        assert_eq!(rows.accepts(key, value).unwrap_err(), message);
    }

    #[test]
    fn a_row_that_needs_something_absent_says_what() {
        let text = format!("{FILE}[row.other]\n[absent.other]\nneeds = \"KUBEDYNO_OTHER\"\n");
        let rows = Rows::parse("parameters.toml", &text).unwrap();
        assert_eq!(rows.absent().collect::<Vec<_>>(), [("other", "KUBEDYNO_OTHER")]);
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line() {
        let error = Rows::parse("parameters.toml", "[row.smoke]\nnodes = \n").unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("parameters.toml", 2));
        let rows = Rows::parse("parameters.toml", "[row.smoke]\nnodes = 1\nimage = \"x\"\nimages = 2\n").unwrap();
        let error = rows.row::<Row>("parameters.toml", "smoke", &BTreeMap::new()).unwrap_err().to_string();
        assert!(error.contains("parameters.toml: row `smoke`: unknown field `images`"), "{error}");
    }
}
