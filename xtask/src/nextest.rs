//! nextest as a program: which rows it would run, and running them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nextest_metadata::{FilterMatch, TestListSummary};
use record::{Expected, row_name};

use crate::ctx::Ctx;
use crate::exit::{Exit, Failure};
use crate::model::Model;

/// nextest with what it is to run.
#[derive(Clone, Debug)]
pub(crate) struct Nextest {
    program: PathBuf,
    root: PathBuf,
    profile: String,
    args: Vec<String>,
}

/// What nextest lists.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// The rows that [`Nextest::run`] would run: tests of the binaries that are named after a provider.
    pub(crate) rows: Vec<Expected>,
    models: Vec<Model>,
}

impl Listed {
    /// Refuses parameters that the suites' rows cannot be run with; `sets` are for `rows`.
    pub(crate) fn check(&self, sets: &BTreeMap<String, String>, rows: &[Expected]) -> Result<(), Failure> {
        self.models.iter().try_for_each(|model| model.check(sets, rows))
    }
}

/// Where nextest writes its JUnit file for a profile (`[store]` and `[profile.*.junit]` in `.config/nextest.toml`).
pub(crate) fn junit_path(ctx: &Ctx, profile: &str) -> PathBuf {
    ctx.root.join("target/nextest").join(profile).join("junit.xml")
}

/// A command without the variables that cargo sets for the package that it runs. ring's build script has cargo watch
/// them: with other values than a person's own `cargo nextest run` has, everything above TLS is built again.
pub(crate) fn of_no_package(program: &Path) -> Command {
    let mut command = Command::new(program);
    let of_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_package)) {
        command.env_remove(name);
    }
    command
}

impl Nextest {
    /// nextest, got if it is missing, with arguments that select tests.
    pub(crate) fn new(ctx: &Ctx, profile: &str, args: Vec<String>) -> Result<Self, Failure> {
        let program = ctx.thirdparty().ensure("cargo-nextest")?.path;
        Ok(Self { program, root: ctx.root.clone(), profile: profile.to_owned(), args })
    }

    /// The same in another checkout of this repository.
    pub(crate) fn at(self, root: &Path) -> Self {
        Self { root: root.to_owned(), ..self }
    }

    /// Builds the tests, with cargo's own progress on the terminal, and lists them.
    pub(crate) fn list(&self) -> Result<Listed, Failure> {
        let mut list = self.command("list");
        list.args(["--message-format", "json"]).stderr(Stdio::inherit());
        let output = match list.output() {
            Ok(output) if output.status.success() => output,
            Ok(output) if output.status.code() == Some(94) => {
                return Err(Failure::usage(
                    "the filter expression is not valid; nextest's explanation is above".to_owned(),
                ));
            }
            Ok(output) => return Err(Failure::environment(format!("the tests do not build ({})", output.status))),
            Err(error) => {
                return Err(Failure::environment(format!("cannot start {}: {error}", self.program.display())));
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let list = TestListSummary::parse_json(text.trim())
            .map_err(|error| Failure::new(Exit::Usage, format!("nextest lists no tests: {error}")))?;
        let mut rows = Vec::new();
        for suite in list.rust_suites.values() {
            let package = &suite.package_name;
            let selected = suite.test_cases.iter().filter(|(_, case)| case.filter_match == FilterMatch::Matches);
            rows.extend(
                selected.map(|(name, _)| Expected { suite: package.clone(), test: row_name(name.as_str()).to_owned() }),
            );
        }
        rows.sort();
        Ok(Listed { rows, models: list.rust_suites.values().filter_map(Model::of).collect() })
    }

    /// `cargo nextest <verb>` with the selection, its standard input closed.
    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = of_no_package(&self.program);
        command
            .args(["nextest", verb, "--profile", &self.profile])
            .args(&self.args)
            .current_dir(&self.root)
            .stdin(Stdio::null());
        command
    }

    /// The command that runs the rows, with the variables that every test of the run gets.
    pub(crate) fn run(&self, env: &BTreeMap<&str, String>, log: &Path) -> Result<Command, Failure> {
        let open = || {
            std::fs::File::options()
                .create(true)
                .append(true)
                .open(log)
                .map_err(|error| Failure::environment(format!("cannot write {}: {error}", log.display())))
        };
        let mut command = self.command("run");
        command.args(["--no-fail-fast", "--color", "never", "--show-progress", "none"]).envs(env);
        command.stdout(open()?).stderr(open()?);
        Ok(command)
    }
}
