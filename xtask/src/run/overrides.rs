//! `--set KEY=VALUE`: overrides of parameters, and whether the rows of the run have them.

use std::collections::BTreeMap;

use harness::Rows;
use record::Expected;

use crate::exit::Failure;
use crate::suites::Suite;

/// The overrides of the command line, each of a parameter that some row of the suites has.
pub(crate) fn read(args: &[String], parameters: &[Rows]) -> Result<BTreeMap<String, String>, Failure> {
    let mut sets = BTreeMap::new();
    for arg in args {
        let (key, value) =
            arg.split_once('=').ok_or_else(|| Failure::usage(format!("--set {arg}: write it as KEY=VALUE")))?;
        let mut refusals = Vec::new();
        let accepted = parameters.iter().any(|rows| match rows.accepts(key, value) {
            Ok(()) => true,
            Err(reason) => {
                refusals.push(reason);
                false
            }
        });
        if !accepted {
            return Err(Failure::usage(format!("--set {arg}: {}", refusals.join("; "))));
        }
        sets.insert(key.to_owned(), value.to_owned());
    }
    Ok(sets)
}

/// Refuses overrides of which the run would not notice anything: none of its `selected` rows has the parameter.
pub(crate) fn check(
    sets: &BTreeMap<String, String>,
    suites: &[Suite],
    parameters: &[Rows],
    selected: &[Expected],
) -> Result<(), Failure> {
    let is_selected =
        |suite: &Suite, name: &str| selected.iter().any(|row| row.suite == suite.package && row.test == name);
    for (key, value) in sets {
        let having = suites.iter().zip(parameters).flat_map(|(suite, rows)| {
            let names = rows.names().filter(move |name| rows.keys(name).any(|of_row| of_row == key));
            names.map(move |name| (suite, name))
        });
        let having: Vec<(&Suite, &str)> = having.collect();
        if !having.iter().any(|(suite, name)| is_selected(suite, name)) {
            let names: Vec<&str> = having.iter().map(|(_, name)| *name).collect();
            let rows: Vec<&str> = selected.iter().map(|row| row.test.as_str()).collect();
            return Err(Failure::usage(format!(
                "--set {key}={value}: no row of this run has the parameter `{key}`: it is of {}, and what runs is {}",
                names.join(", "),
                rows.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_of_rows_that_do_not_run_is_refused() {
        let rows =
            Rows::parse("parameters.toml", "[row.pool]\nnodes = 1\n[row.load]\npods = 1\n[row.list]\npods = 2\n");
        let suites = [Suite { package: "x-suite".to_owned(), path: "x".into(), built: true }];
        let selected = [Expected { suite: "x-suite".to_owned(), test: "pool".to_owned() }];
        let parameters = [rows.unwrap()];
        let check = |key: &str| {
            let sets = BTreeMap::from([(key.to_owned(), "3".to_owned())]);
            check(&sets, &suites, &parameters, &selected).map_err(|failure| failure.to_string())
        };
        assert_eq!(check("nodes"), Ok(()));
        assert_eq!(
            check("pods").unwrap_err(),
            "--set pods=3: no row of this run has the parameter `pods`: it is of list, load, and what runs is pool"
        );
    }
}
