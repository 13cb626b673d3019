//! What a suite says of its own rows, before anything else is done with them.
//!
//! The types of a suite's rows are known to its test binaries only. They are built when the rows are listed, so that asking
//! takes milliseconds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use harness::{ROWS_TEST, RUN_ROWS, SUITE_SETS};
use nextest_metadata::RustTestSuiteSummary;
use record::Expected;

use crate::exit::{Exit, Failure};
use crate::nextest::of_no_package;

/// The built `tests/model.rs` of a suite.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    suite: String,
    program: PathBuf,
    directory: PathBuf,
}

impl Model {
    /// The binary, if it is a suite's model.
    pub(crate) fn of(binary: &RustTestSuiteSummary) -> Option<Self> {
        (binary.binary.binary_name == "model").then(|| Self {
            suite: binary.package_name.clone(),
            program: binary.binary.binary_path.clone().into(),
            directory: binary.cwd.clone().into(),
        })
    }

    /// Refuses parameters that no driver takes, as the suite itself says it; `sets` are for those of `rows` that are its own. A
    /// revision whose suite has no such test is not asked.
    pub(crate) fn check(&self, sets: &BTreeMap<String, String>, rows: &[Expected]) -> Result<(), Failure> {
        let rows: Vec<&str> = rows.iter().filter(|row| row.suite == self.suite).map(|row| row.test.as_str()).collect();
        let json = |value: serde_json::Value| value.to_string();
        let output = of_no_package(&self.program)
            .args([ROWS_TEST, "--exact", "--nocapture"])
            .env(SUITE_SETS, json(serde_json::json!(sets)))
            .env(RUN_ROWS, json(serde_json::json!(rows)))
            .env("RUST_BACKTRACE", "0")
            .current_dir(&self.directory)
            .output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(Failure::new(Exit::Usage, message(&String::from_utf8_lossy(&output.stderr)))),
            Err(error) => Err(Failure::environment(format!("cannot start {}: {error}", self.program.display()))),
        }
    }
}

/// What a test that failed said: the message of its panic, or all of it where there was none.
fn message(stderr: &str) -> String {
    let panic = stderr.lines().skip_while(|line| !line.contains(" panicked at ")).skip(1);
    let message: Vec<&str> = panic.take_while(|line| !line.starts_with("note: ")).collect();
    match message.is_empty() {
        true => stderr.trim().to_owned(),
        false => message.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    use crate::ctx::Ctx;
    use crate::suites;

    const PANIC: &str = "\nthread 'every_row_is_of_one_kind' (7) panicked at suites/x-suite/tests/model.rs:8:40:\n\
        suites/x-suite/parameters.toml:3: row `smoke`: unknown field `nodse`\n\
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n";

    /// A model that says `stderr` and fails, unless it is asked for what is expected.
    fn model(directory: &std::path::Path, script: &str) -> Model {
        let program = directory.join("model");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Model { suite: "x-suite".to_owned(), program, directory: directory.to_owned() }
    }

    #[test]
    fn what_a_suite_says_of_its_rows_is_a_fault_of_the_user() {
        let directory = tempfile::tempdir().unwrap();
        let model = model(directory.path(), &format!("cat >&2 <<'EOF'\n{PANIC}EOF\nexit 101"));
        let failure = model.check(&BTreeMap::new(), &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.to_string(), "suites/x-suite/parameters.toml:3: row `smoke`: unknown field `nodse`");
    }

    #[test]
    fn a_suite_is_asked_with_the_overrides_and_its_own_rows() {
        let directory = tempfile::tempdir().unwrap();
        let model = model(directory.path(), "echo \"$* $KUBEDYNO_SET $KUBEDYNO_RUN_ROWS\" > asked");
        let row = |suite: &str, test: &str| Expected { suite: suite.to_owned(), test: test.to_owned() };
        let sets = BTreeMap::from([("nodes".to_owned(), "5".to_owned())]);
        model.check(&sets, &[row("x-suite", "smoke"), row("y-suite", "other")]).unwrap();
        let asked = std::fs::read_to_string(directory.path().join("asked")).unwrap();
        assert_eq!(asked.trim(), r#"every_row_is_of_one_kind --exact --nocapture {"nodes":"5"} ["smoke"]"#);
    }

    #[test]
    fn what_is_no_panic_is_told_as_it_is() {
        assert_eq!(message("error: no such file\n"), "error: no such file");
    }

    #[test]
    fn every_suite_of_this_repository_can_be_asked() {
        let ctx = Ctx {
            root: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."),
            cache: PathBuf::new(),
            state: PathBuf::new(),
        };
        for suite in suites::all(&ctx).into_iter().filter(|suite| suite.built) {
            let model = std::fs::read_to_string(suite.path.join("tests/model.rs")).unwrap();
            assert!(model.contains(&format!("#[test]\nfn {ROWS_TEST}()")), "{}", suite.package);
        }
    }
}
