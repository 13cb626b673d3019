//! `parameters.toml`: what each row of a suite is run with, and its overrides.

use std::collections::BTreeMap;
use std::num::IntErrorKind;

use cluster::Needs;
use measure::BudgetError;
use serde::de::DeserializeOwned;
use toml::de::DeTable;

use crate::error::{Error, Result};

/// The rows of a `parameters.toml`.
#[derive(Clone, Debug)]
pub struct Rows {
    file: String,
    text: String,
    tables: Tables,
}

/// `programs`, what the suite tests; `disturbed`, the rows that run only where a test disturbs or breaks something;
/// `[row.NAME]` tables, what each takes in `[cost.NAME]`, in `[needs.NAME]` what it needs of a
/// cluster of others, and in `[absent.NAME]` what it needs that is nowhere to be had.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Tables {
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
    /// When it is no such file, or says something of a row that there is not: with the line.
    pub fn parse(file: &str, text: &str) -> Result<Self, BudgetError> {
        let tables = toml::from_str(text).map_err(|error| BudgetError::from_toml(file, text, &error))?;
        let rows = Self { file: file.to_owned(), text: text.to_owned(), tables };
        let Tables { disturbed, costs, needs, absent, .. } = &rows.tables;
        let unknown = |row: &String| !rows.tables.rows.contains_key(row);
        if let Some(row) = disturbed.iter().find(|row| unknown(row)) {
            return Err(rows.error(&["disturbed"], format!("`disturbed`: there is no row `{row}`")));
        }
        let costs = costs.keys().map(|row| ("cost", row));
        let mut said =
            costs.chain(needs.keys().map(|row| ("needs", row))).chain(absent.keys().map(|row| ("absent", row)));
        if let Some((what, row)) = said.find(|(_, row)| unknown(row)) {
            return Err(rows.error(&[what, row], format!("`[{what}.{row}]`: there is no such row")));
        }
        Ok(rows)
    }

    /// The programs of the system under test, by their names in `tools list`.
    pub fn programs(&self) -> impl Iterator<Item = &str> {
        self.tables.programs.iter().map(String::as_str)
    }

    /// The names of the rows.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.rows.keys().map(String::as_str)
    }

    /// The rows that run only where a test disturbs or breaks something: nobody can ask for them.
    pub fn disturbed(&self) -> impl Iterator<Item = &str> {
        self.tables.disturbed.iter().map(String::as_str)
    }

    /// What the row `name` takes, if it was measured.
    pub fn cost(&self, name: &str) -> Option<&Cost> {
        self.tables.costs.get(name)
    }

    /// What the row `name` needs of a cluster of others, with `sets` applied; `None` for one that may only run on
    /// clusters that this project made.
    ///
    /// # Errors
    /// When its needs name a parameter that it does not have, or that is no count: with the line.
    pub fn needs(&self, name: &str, sets: &BTreeMap<String, String>) -> Result<Option<Needs>> {
        let Some(factors) = self.tables.needs.get(name) else { return Ok(None) };
        let (_, parameters, _) = self.row::<toml::Table>(name, sets)?;
        let product = |what: &str, factors: &[String]| {
            let counts = factors.iter().map(|factor| match parameters.get(factor) {
                Some(value) => value.as_integer().and_then(|count| u64::try_from(count).ok()).ok_or_else(|| {
                    let message = format!(
                        "row `{name}`: `{factor}` is {value}, and no count, as `[needs.{name}]` takes it to be"
                    );
                    self.error(&["row", name, factor], message)
                }),
                None => {
                    let message = format!("needs of row `{name}`: it has no parameter `{factor}`");
                    Err(self.error(&["needs", name, what], message))
                }
            });
            let counts = counts.collect::<Result<Vec<u64>, BudgetError>>()?;
            Ok::<_, Error>(counts.into_iter().reduce(u64::saturating_mul).unwrap_or(0))
        };
        Ok(Some(Needs { nodes: product("nodes", &factors.nodes)?, pods: product("pods", &factors.pods)? }))
    }

    /// The rows that need something absent, each with what that is. They are outside the default selection.
    pub fn absent(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.absent.iter().map(|(row, absent)| (row.as_str(), absent.needs.as_str()))
    }

    /// Whether some row has the parameter `key`, and a value of the type of `value`.
    ///
    /// # Errors
    /// When none has it, naming those that there are; when the type differs.
    pub fn accepts(&self, key: &str, value: &str) -> Result<(), String> {
        let with_key: Vec<_> = self.tables.rows.values().filter_map(|row| row.get(key)).collect();
        let Some(old) = with_key.first() else {
            let mut known: Vec<&str> =
                self.tables.rows.values().flat_map(|row| row.keys().map(String::as_str)).collect();
            known.sort_unstable();
            known.dedup();
            return Err(format!("there is no parameter `{key}`; there are {}", known.join(", ")));
        };
        override_parameter(old, value).map(drop).map_err(|reason| format!("parameter `{key}`: {reason}"))
    }

    /// The parameters of the row `name`.
    pub fn keys(&self, name: &str) -> impl Iterator<Item = &str> {
        self.tables.rows.get(name).into_iter().flat_map(|row| row.keys().map(String::as_str))
    }

    /// The parameters of the row `name` with `sets` applied, as they stand, and the overridden ones.
    ///
    /// # Errors
    /// When there is no such row; when a parameter is unknown, is missing or has a value that `T` does not take, with its line;
    /// when that is so of an override, with the override.
    pub fn row<T: DeserializeOwned>(
        &self,
        name: &str,
        sets: &BTreeMap<String, String>,
    ) -> Result<(T, toml::Table, toml::Table)> {
        let mut typed = self.typed(name)?;
        let mut table = self.tables.rows.get(name).cloned().unwrap_or_default();
        let mut overridden = toml::Table::new();
        for (key, text) in sets {
            let Some(old) = table.get(key) else { continue };
            let bad = |reason: &str| Error::Environment(format!("--set {key}={text}: row `{name}`: {reason}"));
            let value = override_parameter(old, text).map_err(|reason| bad(&reason))?;
            overridden.insert(key.clone(), value.clone());
            table.insert(key.clone(), value);
            // One after the other, so that the one that is refused is known.
            typed = table.clone().try_into().map_err(|error: toml::de::Error| bad(error.message()))?;
        }
        Ok((typed, table, overridden))
    }

    /// The row as it stands in the file, read in such a way that an error has its line.
    fn typed<T: DeserializeOwned>(&self, name: &str) -> Result<T, BudgetError> {
        let document =
            DeTable::parse(&self.text).map_err(|error| BudgetError::from_toml(&self.file, &self.text, &error))?;
        let row = document.get_ref().get("row").and_then(|rows| rows.get_ref().get(name));
        let row = row.ok_or_else(|| self.error(&["row"], format!("there is no row `{name}`")))?;
        measure::typed(&self.file, &self.text, &format!("row `{name}`"), row)
    }

    /// An error about what `path` leads to in the file.
    pub(crate) fn error(&self, path: &[&str], message: String) -> BudgetError {
        BudgetError::at(&self.file, &self.text, path, message)
    }
}

/// Reads `text` as a value of the type of `old`.
///
/// # Errors
/// When it is none.
fn override_parameter(old: &toml::Value, text: &str) -> Result<toml::Value, String> {
    let wrong = |what: &str| format!("`{text}` is {what}; the row has {old}");
    let below_zero = || text.parse::<f64>().is_ok_and(|number| number < 0.0);
    match old {
        // All of them are counts; how large each may be is known to whoever reads the row.
        toml::Value::Integer(_) => match text.parse::<i64>() {
            Ok(count) if count >= 0 => Ok(toml::Value::Integer(count)),
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => {
                Err(format!("`{text}` is too large: the most is {}", i64::MAX))
            }
            _ if below_zero() => Err(format!("`{text}` is below zero")),
            _ => Err(wrong("no whole number")),
        },
        toml::Value::Float(_) => text.parse().map(toml::Value::Float).map_err(|_| wrong("no number")),
        toml::Value::Boolean(_) => {
            text.parse().map(toml::Value::Boolean).map_err(|_| wrong("neither `true` nor `false`"))
        }
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
        #[serde(deserialize_with = "crate::at_least_one")]
        nodes: u32,
        image: String,
    }

    fn sets(key: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn an_override_replaces_a_value_and_is_told() {
        let rows = Rows::parse("parameters.toml", FILE).unwrap();
        let (row, table, overridden) = rows.row::<Row>("smoke", &sets("nodes", "5")).unwrap();
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
        let found = rows.needs(row, &sets).unwrap();
        assert_eq!(found.map(|needs| (needs.nodes, needs.pods)), needs);
    }

    #[rstest]
    #[case::missing(
        "\"deployments\", ",
        "\"deployment\", ",
        "8: needs of row `smoke`: it has no parameter `deployment`"
    )]
    #[case::no_number(
        "\"deployments\", ",
        "\"image\", ",
        "5: row `smoke`: `image` is \"pause\", and no count, as `[needs.smoke]` takes it to be"
    )]
    #[case::below_zero(
        "replicas = 100",
        "replicas = -3",
        "4: row `smoke`: `replicas` is -3, and no count, as `[needs.smoke]` takes it to be"
    )]
    #[case::a_fraction(
        "nodes = 200",
        "nodes = 2.5",
        "2: row `smoke`: `nodes` is 2.5, and no count, as `[needs.smoke]` takes it to be"
    )]
    fn needs_that_name_no_count_are_refused(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
        let rows = Rows::parse("parameters.toml", &NEEDY.replace(from, to)).unwrap();
        let error = rows.needs("smoke", &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, format!("parameters.toml:{message}"));
    }

    #[rstest]
    #[case::unknown("node", "5", "there is no parameter `node`; there are image, nodes")]
    #[case::wrong_type("nodes", "many", "parameter `nodes`: `many` is no whole number; the row has 200")]
    #[case::a_fraction("nodes", "2.5", "parameter `nodes`: `2.5` is no whole number; the row has 200")]
    #[case::too_large(
        "nodes",
        "99999999999999999999",
        "parameter `nodes`: `99999999999999999999` is too large: the most is 9223372036854775807"
    )]
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

    #[rstest]
    #[case::no_toml("nodes = 200", "nodes = ", "2: ")]
    #[case::unknown_table("[row.smoke]", "[rows.smoke]", "1: unknown field `rows`")]
    #[case::cost_of_no_row(
        "image = \"pause\"\n",
        "\n[cost.smoek]\nminutes = 1\ndisk_mib = 1\n",
        "4: `[cost.smoek]`: there is no such row"
    )]
    #[case::needs_of_no_row("image = \"pause\"\n", "\n[needs.smoek]\n", "4: `[needs.smoek]`: there is no such row")]
    #[case::absent_of_no_row(
        "image = \"pause\"\n",
        "\n[absent.smoek]\nneeds = \"x\"\n",
        "4: `[absent.smoek]`: there is no such row"
    )]
    fn a_malformed_file_is_named_with_its_line(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
        let error = Rows::parse("parameters.toml", &FILE.replace(from, to)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("parameters.toml:{message}")), "{error}");
    }

    #[rstest]
    #[case::unknown("nodes", "nodse", "2: row `smoke`: unknown field `nodse`, expected `nodes` or `image`")]
    #[case::wrong_type("200", "\"x\"", "2: row `smoke`: `nodes`: invalid type: string \"x\", expected u32")]
    #[case::below_zero("200", "-1", "2: row `smoke`: `nodes`: invalid value: integer `-1`, expected u32")]
    #[case::zero("200", "0", "2: row `smoke`: `nodes`: invalid value: integer `0`, expected at least 1")]
    #[case::missing("nodes = 200\n", "", "1: row `smoke`: missing field `nodes`")]
    #[case::later(
        "image = \"pause\"",
        "image = 5",
        "3: row `smoke`: `image`: invalid type: integer `5`, expected a string"
    )]
    fn a_malformed_row_is_named_with_line_and_parameter(#[case] from: &str, #[case] to: &str, #[case] message: &str) {
        let rows = Rows::parse("parameters.toml", &FILE.replace(from, to)).unwrap();
        let error = rows.row::<Row>("smoke", &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, format!("parameters.toml:{message}"));
    }

    #[test]
    fn an_override_that_makes_no_sense_is_named() {
        let rows = Rows::parse("parameters.toml", FILE).unwrap();
        let sets =
            BTreeMap::from([("image", "busybox"), ("nodes", "0")].map(|(key, text)| (key.to_owned(), text.to_owned())));
        let error = rows.row::<Row>("smoke", &sets).unwrap_err().to_string();
        assert_eq!(error, "--set nodes=0: row `smoke`: invalid value: integer `0`, expected at least 1");
    }

    #[test]
    fn a_row_that_is_not_there_is_named() {
        let rows = Rows::parse("parameters.toml", FILE).unwrap();
        let error = rows.row::<Row>("smoek", &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "parameters.toml:1: there is no row `smoek`");
    }
}
