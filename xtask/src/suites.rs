//! The suites of this repository, and whether their data are sound.

use std::path::PathBuf;

use harness::Rows;
use measure::Budgets;

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};

/// A suite's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suite {
    /// Its package: `kperf-suite`.
    pub(crate) package: String,
    /// Its folder.
    pub(crate) path: PathBuf,
    /// Whether it has rows yet.
    pub(crate) built: bool,
}

impl Suite {
    /// Whether it has rows on clusters of that provider: it has a test binary that is named so.
    pub(crate) fn has(&self, provider: &str) -> bool {
        self.path.join("tests").join(provider).with_extension("rs").is_file()
    }

    /// The providers on whose clusters it has rows.
    pub(crate) fn providers(&self) -> Vec<&'static str> {
        ["kwok", "kind"].into_iter().filter(|provider| self.has(provider)).collect()
    }
}

/// Every suite, sorted.
pub(crate) fn all(ctx: &Ctx) -> Vec<Suite> {
    let entries = std::fs::read_dir(ctx.root.join("suites")).into_iter().flatten().flatten();
    let mut suites: Vec<Suite> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| Suite {
            package: entry.file_name().to_string_lossy().into_owned(),
            built: entry.path().join("parameters.toml").is_file(),
            path: entry.path(),
        })
        .collect();
    suites.sort_by(|a, b| a.package.cmp(&b.package));
    suites
}

/// The suites that were asked for; all that are built when none was.
pub(crate) fn select(ctx: &Ctx, names: &[String]) -> Result<Vec<Suite>, Failure> {
    let all = all(ctx);
    let mut selected = Vec::new();
    for name in names {
        let package = if name.ends_with("-suite") { name.clone() } else { format!("{name}-suite") };
        let Some(suite) = all.iter().find(|suite| suite.package == package) else {
            let known: Vec<&str> = all.iter().map(|suite| suite.package.trim_end_matches("-suite")).collect();
            return Err(Failure::usage(format!("there is no suite `{name}`; there are {}", known.join(", "))));
        };
        if !suite.built {
            let readme = format!("suites/{package}/README.md");
            return Err(Failure::new(
                Exit::NothingRan,
                format!("`{name}` has no rows yet; {readme} lists what it will check"),
            ));
        }
        if !selected.contains(suite) {
            selected.push(suite.clone());
        }
    }
    Ok(if names.is_empty() { all.into_iter().filter(|suite| suite.built).collect() } else { selected })
}

/// Reads a suite's budgets and parameters: what is wrong with them is said before anything starts. What its rows are made of
/// only the suite itself can check.
pub(crate) fn data(suite: &Suite) -> Result<(Budgets, Rows), Failure> {
    let read = |file: &str| {
        let path = suite.path.join(file);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
        Ok::<_, Failure>((format!("suites/{}/{file}", suite.package), text))
    };
    let usage = |error: measure::BudgetError| Failure::usage(error.to_string());
    let (budgets_file, budgets_text) = read("budgets.toml")?;
    let budgets = Budgets::parse(&budgets_file, &budgets_text).map_err(usage)?;
    let (file, text) = read("parameters.toml")?;
    let rows = Rows::parse(&file, &text).map_err(usage)?;
    budgets.check_rows(&budgets_file, &budgets_text, &rows.names().collect::<Vec<_>>()).map_err(usage)?;
    Ok((budgets, rows))
}

/// The rows that would belong to `profile` if what they need were there, as a run lists them.
pub(crate) fn absent(suites: &[Suite], rows: &[Rows], profile: &str) -> Vec<String> {
    let of_profile = |row: &str| row.ends_with("_published") == profile.starts_with("published");
    // No profile has them: they are what the tests of a suite disturb and break.
    let of_tests = |row: &str| row.ends_with("_disturbed") || row.ends_with("_fault");
    let of_suite = |(suite, rows): (&Suite, &Rows)| {
        let absent = rows.absent().filter(|(row, _)| of_profile(row) && !of_tests(row));
        absent.map(|(row, needs)| format!("{} {row}: needs {needs}", suite.package)).collect::<Vec<_>>()
    };
    suites.iter().zip(rows).flat_map(of_suite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const BUDGETS: &str = "[[budget]]\nmetric = \"m\"\nlimit = 1\ndirection = \"at-most\"\nbasis = \"count\"\nrole = \"gate\"\n\
        rows = [\"smoke\"]\nprovider = \"kwok\"\nsource = \"s\"\nderivation = \"d\"\n";
    const PARAMETERS: &str = "[row.smoke]\nnodes = 1\n";

    fn read(budgets: &str, parameters: &str) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("budgets.toml"), budgets).unwrap();
        std::fs::write(dir.path().join("parameters.toml"), parameters).unwrap();
        let suite = Suite { package: "x-suite".to_owned(), path: dir.path().to_owned(), built: true };
        data(&suite).map(drop).map_err(|failure| {
            assert_eq!(failure.exit, Exit::Usage);
            failure.to_string()
        })
    }

    #[test]
    fn sound_data_are_read() {
        assert_eq!(read(BUDGETS, PARAMETERS), Ok(()));
    }

    #[rstest]
    #[case::budgets(&BUDGETS.replace("limit = 1", "limt = 1"), PARAMETERS, "suites/x-suite/budgets.toml:3: budget `m`: unknown field `limt`")]
    #[case::parameters(BUDGETS, "[row.smoke]\nnodes = \n", "suites/x-suite/parameters.toml:2: ")]
    #[case::needs_of_no_row(
        BUDGETS,
        "[row.smoke]\n[needs.smoek]\n",
        "parameters.toml:2: `[needs.smoek]`: there is no such row"
    )]
    #[case::nothing_that_is_absent(
        BUDGETS,
        "[row.smoke]\n[absent.smoek]\nneeds = \"x\"\n",
        "suites/x-suite/parameters.toml:2: `[absent.smoek]`: there is no such row"
    )]
    #[case::no_row_that_is_disturbed(
        BUDGETS,
        "disturbed = [\"smoek\"]\n[row.smoke]\n",
        "suites/x-suite/parameters.toml:1: `disturbed`: there is no row `smoek`"
    )]
    #[case::unknown_row(&BUDGETS.replace("smoke", "smoek"), PARAMETERS, "suites/x-suite/budgets.toml:7: budget `m`: `rows` names `smoek`, and there is no such row")]
    #[case::unknown_provider(&BUDGETS.replace("kwok", "kwork"), PARAMETERS, "suites/x-suite/budgets.toml:8: budget `m`: `provider` is `kwork`; write one of kwok, ")]
    fn malformed_data_are_refused_with_file_line_and_field(
        #[case] budgets: &str,
        #[case] parameters: &str,
        #[case] message: &str,
    ) {
        let error = read(budgets, parameters).unwrap_err();
        assert!(error.contains(message), "{error}");
    }

    #[test]
    fn a_suite_without_rows_is_told_from_one_that_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let suite = dir.path().join("suites/x-suite");
        std::fs::create_dir_all(&suite).unwrap();
        std::fs::write(suite.join("Cargo.toml"), "").unwrap();
        let ctx = Ctx { root: dir.path().to_owned(), cache: PathBuf::new(), state: PathBuf::new() };
        let exit = |name: &str| select(&ctx, &[name.to_owned()]).unwrap_err().exit;
        assert_eq!((exit("x"), exit("y")), (Exit::NothingRan, Exit::Usage));
    }

    #[test]
    fn rows_that_need_something_absent_are_listed_in_their_profile() {
        let absent_row = |row: &str, needs: &str| format!("[row.{row}]\n[absent.{row}]\nneeds = \"{needs}\"\n");
        let rows = [("a", "X"), ("a_published", "Y"), ("a_disturbed", "X"), ("a_fault", "X")];
        let text: String = rows.iter().map(|(row, needs)| absent_row(row, needs)).collect();
        let suites = [Suite { package: "x-suite".to_owned(), path: PathBuf::new(), built: true }];
        let rows = [Rows::parse("parameters.toml", &text).unwrap()];
        assert_eq!(absent(&suites, &rows, "default"), ["x-suite a: needs X"]);
        assert_eq!(absent(&suites, &rows, "published"), ["x-suite a_published: needs Y"]);
    }

    /// What is committed is sound.
    #[test]
    fn the_suites_of_this_repository_are_sound() {
        let ctx = Ctx {
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
            cache: PathBuf::new(),
            state: PathBuf::new(),
        };
        let built: Vec<Suite> = all(&ctx).into_iter().filter(|suite| suite.built).collect();
        assert!(!built.is_empty());
        for suite in built {
            data(&suite).map_err(|failure| failure.to_string()).unwrap();
        }
    }
}
