//! The environment as a value: what this crate reads of it, and what the programs it starts get.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;
use std::{env, io};

use fs_err as fs;

/// A whole environment.
///
/// `KUBEDYNO_*` and `PATH` are read from it, and `go`, `cargo` and the programs themselves are started with it
/// and nothing else, so it should hold what they need (`HOME`, `GOCACHE`, `GOPROXY`, …).
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<OsString, OsString>,
    proxy: Option<ureq::Proxy>,
}

impl Environment {
    /// This process's own environment, with the HTTP proxy that it names (`HTTPS_PROXY`, `NO_PROXY`, …).
    pub fn from_process() -> Self {
        Self { variables: env::vars_os().collect(), proxy: ureq::Proxy::try_from_env() }
    }

    /// The same with one variable more, or with another value.
    #[must_use]
    pub fn with(mut self, name: &str, value: &OsStr) -> Self {
        self.variables.insert(name.into(), value.to_owned());
        self
    }

    /// The same without a variable.
    #[must_use]
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut environment = self.clone();
        environment.variables.remove(OsStr::new(name));
        environment
    }

    /// The value of a variable. One that is empty counts as not set, as in most command line tools.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub(crate) fn proxy(&self) -> Option<ureq::Proxy> {
        self.proxy.clone()
    }

    /// The first executable of that name on `PATH`. Relative directories are skipped: a program that is found
    /// because of where one stands is not one to build on.
    pub(crate) fn on_path(&self, name: &str) -> Option<PathBuf> {
        env::split_paths(self.get("PATH")?)
            .filter(|directory| directory.is_absolute())
            .map(|directory| directory.join(name))
            .find(|program| fs::metadata(program).is_ok_and(|metadata| is_executable(&metadata)))
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables);
        command
    }
}

/// An environment with just these variables, and no HTTP proxy.
impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self { variables: variables.collect(), proxy: None }
    }
}

pub(crate) fn is_executable(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
}

/// Starts a program that may have been written a moment ago.
///
/// While another thread forks, its child holds a copy of every open file until it execs, also of the one that a
/// program was just written through; the kernel then says "text file busy". It passes within milliseconds.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..50 {
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => thread::sleep(PAUSE),
            done => return done,
        }
    }
    command.spawn()
}
