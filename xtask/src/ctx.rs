//! Where everything is: the checkout, the cache, the state. Read from the environment once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use cluster::{Fixtures, Kwok, PROGRAMS, Settings, Shell};
use thirdparty::{Environment, Thirdparty};

use crate::exit::Failure;

/// What every command needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Ctx {
    /// The checkout.
    pub(crate) root: PathBuf,
    /// Downloads and built programs: `KUBEDYNO_CACHE`, or the user's cache directory.
    pub(crate) cache: PathBuf,
    /// Clusters and locks: `KUBEDYNO_STATE`, or the user's state directory.
    pub(crate) state: PathBuf,
}

/// Variable with the directory of downloads and built programs.
pub(crate) const CACHE: &str = "KUBEDYNO_CACHE";
/// Variable with the directory of clusters and locks.
pub(crate) const STATE: &str = "KUBEDYNO_STATE";

impl Ctx {
    pub(crate) fn from_env() -> Result<Self, Failure> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned();
        let cache = directory(CACHE, "XDG_CACHE_HOME", ".cache")?;
        let state = directory(STATE, "XDG_STATE_HOME", ".local/state")?;
        let unknown: Vec<&str> = [(CACHE, &cache), (STATE, &state)]
            .into_iter()
            .filter_map(|(variable, found)| found.is_none().then_some(variable))
            .collect();
        cache.zip(state).map(|(cache, state)| Self { root, cache, state }).ok_or_else(|| {
            Failure::environment(format!("HOME is not set: name a directory in {}", unknown.join(" and one in ")))
        })
    }

    /// Makes sure that clusters and programs can be kept, before anything is got or started.
    pub(crate) fn check_writable(&self) -> Result<(), Failure> {
        for (directory, variable) in [(&self.state, STATE), (&self.cache, CACHE)] {
            if let Some((what, fix)) = in_the_way(directory, variable) {
                return Err(Failure::environment(format!("{what}; {fix}")));
            }
            Shell::real().make_dir(directory)?;
        }
        Ok(())
    }

    /// The pinned programs, with progress on stderr.
    pub(crate) fn thirdparty(&self) -> Thirdparty {
        self.thirdparty_in(Environment::from_process())
    }

    fn thirdparty_in(&self, environment: Environment) -> Thirdparty {
        let modules = self.root.join("fixtures/go");
        Thirdparty::new(self.cache.clone(), modules, environment, thirdparty::progress::on_stderr())
    }

    pub(crate) fn fixtures(&self) -> Fixtures {
        Fixtures::new(&self.state)
    }

    /// The kwok provider with everything that it needs to make a cluster; gets what is missing.
    pub(crate) fn kwok(&self) -> Result<Kwok, Failure> {
        self.kwok_with(&BTreeMap::new())
    }

    /// The same with other builds of some programs, by the variables that name them.
    pub(crate) fn kwok_with(&self, builds: &BTreeMap<String, PathBuf>) -> Result<Kwok, Failure> {
        self.check_writable()?;
        let environment = builds.iter().fold(Environment::from_process(), |environment, (variable, path)| {
            environment.with(variable, path.as_os_str())
        });
        Ok(Kwok::new(self.thirdparty_in(environment).ensure_all(&PROGRAMS)?, Settings::default()))
    }

    /// The default place of results.
    pub(crate) fn results(&self) -> PathBuf {
        self.root.join("results")
    }
}

/// What stands where a directory is to be and is none, and the fix.
pub(crate) fn in_the_way(directory: &Path, variable: &str) -> Option<(String, String)> {
    let there = directory.ancestors().find(|path| path.exists()).filter(|path| !path.is_dir())?;
    let what = format!("{} is a file, and no directory", there.display());
    Some((what, format!("move it away, or set {variable} to another directory")))
}

/// A directory from its own variable, the desktop standard's, or below HOME; none where none of them is set.
fn directory(own: &str, xdg: &str, below_home: &str) -> Result<Option<PathBuf>, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable(own) {
        return std::path::absolute(&path)
            .map(Some)
            .map_err(|error| Failure::environment(format!("{own}={}: {error}", path.display())));
    }
    let base = variable(xdg).or_else(|| Some(variable("HOME")?.join(below_home)));
    Ok(base.map(|base| base.join("kubedyno")))
}

/// A line of ours on stderr.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Columns of the terminal, for tables on stdout.
pub(crate) fn width() -> u16 {
    rustix::termios::tcgetwinsize(std::io::stdout()).map_or(120, |size| size.ws_col)
}

/// What a command was asked for, on stdout. A reader that closed the pipe has seen enough.
pub(crate) fn print(text: &str) {
    writeln!(std::io::stdout(), "{}", text.trim_end_matches('\n')).ok();
}

/// The same as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => print(&text),
        Err(error) => say(&format!("error: {error}")),
    }
}
