//! A machine of a test's own: a state directory, the commands of the built binary, and what is left in the end.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cluster::{Descriptor, Fixtures};

/// A state directory whose clusters end with it.
pub(crate) struct Machine {
    directory: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        let inherited = std::env::vars().map(|(key, _)| key);
        for key in inherited
            .filter(|key| key.starts_with("NEXTEST") || key.starts_with("KUBEDYNO_") && key != "KUBEDYNO_CACHE")
        {
            command.env_remove(key);
        }
        command.args(args).env("KUBEDYNO_STATE", self.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn xtask(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs a command that has to succeed; returns what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.xtask(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        text(&output)
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub(crate) fn descriptor(&self, name: &str) -> Descriptor {
        Fixtures::new(self.path()).descriptor(name).unwrap()
    }

    /// What `kubectl` says with the credentials of a cluster's own kubeconfig.
    pub(crate) fn kubectl(&self, name: &str, args: &[&str]) -> String {
        self.kubectl_by(&self.descriptor(name).kubeconfig, name, args)
    }

    /// The same with other credentials.
    pub(crate) fn kubectl_by(&self, kubeconfig: &Path, name: &str, args: &[&str]) -> String {
        let descriptor = self.descriptor(name);
        let program = &descriptor.programs.iter().find(|program| program.name == "kubectl").unwrap().path;
        let output = Command::new(program).args(args).arg("--kubeconfig").arg(kubeconfig).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", text(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Processes that run a program from below the state directory.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let below = self.path().display().to_string();
        let all = procfs::process::all_processes().unwrap().flatten();
        let uses = |process: &procfs::process::Process| {
            process.cmdline().is_ok_and(|words| words.first().is_some_and(|program| program.starts_with(&below)))
        };
        all.filter(uses).map(|process| process.pid).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for name in Fixtures::new(self.path()).names() {
            self.xtask(&["cluster", "down", "--force", "--name", &name]);
        }
    }
}

pub(crate) fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// Waits until `done`, at most 5 minutes: a first build of a suite's tests is part of some waits.
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(300);
    while !done() {
        assert!(Instant::now() < until, "waited 5 minutes for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
