//! The crate as its users see it, with programs that are little shell scripts, a scripted server on loopback and a
//! scripted `go`.

mod cache;
mod explicit;
mod go;
mod nextest;
mod pins;
mod release;
mod server;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fs_err as fs;
use tempfile::TempDir;

use crate::limits::Limits;
use crate::pins::{CargoPin, GoPin, Pin, ReleasePin};
use crate::{Environment, Error, Progress, Source, Thirdparty};

/// What the scripted program says when it is the pinned one.
const GOOD: &str = "echo tool version v1.2.3";

/// A place for one test: a cache, a modules directory, a directory on PATH, and what was told.
struct Place {
    directory: TempDir,
    variables: BTreeMap<String, String>,
    progress: Arc<Recorded>,
    limits: Limits,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["cache", "modules/group", "path"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        let path = directory.path().join("path").display().to_string();
        Self {
            directory,
            variables: BTreeMap::from([("PATH".to_owned(), path)]),
            progress: Arc::default(),
            limits: Limits { stall: Duration::from_millis(200), ..Limits::default() },
        }
    }

    fn set(mut self, variable: &str, value: impl ToString) -> Self {
        self.variables.insert(variable.to_owned(), value.to_string());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    /// A program in this place.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, program(body)).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn thirdparty(&self, pins: &[Pin]) -> Thirdparty {
        let environment: Environment = self.variables.clone().into_iter().collect();
        let (cache, modules) = (self.cache(), self.path("modules"));
        Thirdparty::with_pins(pins.to_vec(), self.limits, cache, modules, environment, self.progress.clone())
    }

    /// What is below the cache, without lock files.
    fn cached(&self) -> Vec<String> {
        fn walk(directory: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, root, found);
                } else if !path.ends_with(".lock") {
                    found.push(path.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.cache(), &self.cache(), &mut found);
        found.sort();
        found
    }

    /// A text with what differs from run to run replaced.
    fn redacted(&self, text: &str) -> String {
        let platform = crate::platform::Platform::host().to_string();
        text.replace(&self.directory.path().display().to_string(), "[dir]").replace(&platform, "[platform]")
    }
}

/// A program with this body.
fn program(body: &str) -> Vec<u8> {
    format!("#!/bin/sh\n{body}\n").into_bytes()
}

/// A pin that has no source yet.
fn pin(name: &str) -> Pin {
    Pin {
        name: name.to_owned(),
        version: "v1.2.3".to_owned(),
        ask: vec!["version".to_owned()],
        by: None,
        expect: "tool version v1.2.3".to_owned(),
        release: None,
        go: None,
        cargo: None,
        on_path: false,
    }
}

/// A release with a file and its checksum beside it.
fn release(url: &str) -> Option<ReleasePin> {
    Some(ReleasePin {
        url: url.to_owned(),
        checksums: Some(format!("{url}.sha256")),
        member: None,
        platforms: vec![crate::platform::Platform::host().to_string()],
        sha256: BTreeMap::new(),
    })
}

fn go() -> Option<GoPin> {
    Some(GoPin {
        group: "group".to_owned(),
        package: "example.com/tool/cmd/tool".to_owned(),
        ldflags: "-s -w -X example.com/tool.Version=v1.2.3".to_owned(),
    })
}

fn cargo() -> Option<CargoPin> {
    Some(CargoPin { package: "tool".to_owned(), features: vec!["one".to_owned(), "two".to_owned()] })
}

/// Why each source was passed over, in order.
fn reasons(error: &Error) -> Vec<(Source, &str)> {
    match error {
        Error::Nowhere { passed_over, .. } => passed_over.iter().map(|a| (a.source, a.why.as_str())).collect(),
        other => panic!("not about sources: {other}"),
    }
}

/// Progress that is kept.
#[derive(Debug, Default)]
struct Recorded(Mutex<Vec<String>>);

impl Recorded {
    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl Progress for Recorded {
    fn start(&self, what: &str, from: &str) {
        self.push(format!("start {what} from {from}"));
    }

    fn tick(&self, detail: &str, _: Option<(u64, u64)>) {
        self.push(format!("tick {detail}"));
    }

    fn done(&self, line: &str) {
        self.push(format!("done {line}"));
    }
}
