//! Builds from the pinned Go modules. `go.sum` and the Go checksum database are the verification.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use fs_err as fs;

use crate::build;
use crate::environment::{Environment, spawn};
use crate::pins::{GoPin, Pin};
use crate::progress::Progress;
use crate::tail::Tail;
use crate::version;

#[derive(Debug, thiserror::Error)]
pub(crate) enum GoError {
    #[error("no module")]
    NoModule(#[source] io::Error),
    #[error("no go on PATH, {} is needed", at_least(needed))]
    Missing { needed: String },
    #[error("{} is {found}, {} is needed, GOTOOLCHAIN={toolchain} forbids fetching it", go.display(), at_least(needed))]
    TooOld { go: PathBuf, found: String, needed: String, toolchain: String },
    #[error("`{command}` could not be run")]
    Start { command: &'static str, source: io::Error },
    #[error("`go env` ended with {0}")]
    Env(ExitStatus),
    #[error("`go list` in {} ended with {status}: {said}", module.display())]
    List { module: PathBuf, status: ExitStatus, said: String },
    #[error("`go build` in {} ended with {status}: {tail}", module.display())]
    Build { module: PathBuf, status: ExitStatus, tail: String, package: String },
}

impl GoError {
    pub(crate) fn fix(&self) -> Option<String> {
        match self {
            Self::Missing { needed } => Some(format!("install {} (https://go.dev/dl)", at_least(needed))),
            Self::TooOld { needed, .. } => {
                Some(format!("install {} (https://go.dev/dl), or set GOTOOLCHAIN=auto", at_least(needed)))
            }
            Self::Build { module, package, .. } => {
                Some(format!("make this work: (cd {} && go build -o /dev/null {package})", module.display()))
            }
            Self::NoModule(_) | Self::Start { .. } | Self::Env(_) | Self::List { .. } => None,
        }
    }
}

/// Builds a program into `work` and returns where it is.
pub(crate) fn build(
    pin: &Pin,
    go: &GoPin,
    modules: &Path,
    work: &Path,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<PathBuf, GoError> {
    let module = modules.join(&go.group);
    let needed = needed(&fs::read_to_string(module.join("go.mod")).map_err(GoError::NoModule)?);
    let program = toolchain(needed, environment)?;

    progress.start(&pin.to_string(), &format!("{}, the first build takes minutes", module.display()));
    let out = work.join(&pin.name);
    // Go's own, so that what a killed build has left there goes with the partial.
    let temporary = work.join("tmp");
    fs::create_dir_all(&temporary).map_err(|source| GoError::Start { command: "go build", source })?;
    // One set of flags for all programs of a group, in this order: then what is compiled for one is found in Go's
    // own build cache by the next.
    let mut go_build = build::command(environment, &program);
    go_build
        .args(["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", &go.ldflags, "-o"])
        .arg(&out)
        .arg(&go.package)
        .env("CGO_ENABLED", "0")
        .env("GOTMPDIR", &temporary)
        // Neither a go.work above the modules nor a cross build that the user is at concerns us.
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .current_dir(&module);

    let mut compiled = 0_u32;
    let mut said = Tail::default();
    let status = build::run(&mut go_build, |line| {
        // `-v` prints the import path of each package that it compiles, and nothing else is one bare word.
        if line.contains(char::is_whitespace) {
            progress.tick(line.trim(), None);
            said.push(line);
        } else {
            compiled += 1;
            progress.tick(&format!("{compiled} packages compiled, at {line}"), None);
        }
    })
    .map_err(|source| GoError::Start { command: "go build", source })?;
    if status.success() {
        return Ok(out);
    }
    Err(GoError::Build { module, status, tail: said.to_string(), package: go.package.clone() })
}

/// The directory of the module that holds a main package; fetched when it is not there.
pub(crate) fn module(go: &GoPin, modules: &Path, environment: &Environment) -> Result<PathBuf, GoError> {
    let module = modules.join(&go.group);
    let needed = needed(&fs::read_to_string(module.join("go.mod")).map_err(GoError::NoModule)?);
    let program = toolchain(needed, environment)?;
    let start = |source| GoError::Start { command: "go list", source };
    let output = spawn(
        environment
            .command(&program)
            // Of the package itself and not of what it imports, which would be fetched as well.
            .args(["list", "-find", "-f", "{{.Module.Dir}}", &go.package])
            .env("GOWORK", "off")
            .current_dir(&module)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    )
    .and_then(std::process::Child::wait_with_output)
    .map_err(start)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match (output.status.success(), text(&output.stdout)) {
        (true, directory) if !directory.is_empty() => Ok(directory.into()),
        _ => Err(GoError::List { module, status: output.status, said: text(&output.stderr) }),
    }
}

/// Whether there is a `go` that builds from a module.
pub(crate) fn can_build(go: &GoPin, modules: &Path, environment: &Environment) -> Result<(), GoError> {
    let go_mod = fs::read_to_string(modules.join(&go.group).join("go.mod")).map_err(GoError::NoModule)?;
    toolchain(needed(&go_mod), environment).map(drop)
}

/// The user's `go`, when it is new enough or may fetch one that is.
fn toolchain(needed: String, environment: &Environment) -> Result<PathBuf, GoError> {
    let Some(go) = environment.on_path("go") else { return Err(GoError::Missing { needed }) };
    let start = |source| GoError::Start { command: "go env", source };
    // Asked away from any go.mod, which could make it fetch another toolchain right here.
    let output = spawn(
        environment
            .command(&go)
            .args(["env", "GOVERSION", "GOTOOLCHAIN"])
            .env("GOWORK", "off")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null()),
    )
    .and_then(std::process::Child::wait_with_output)
    .map_err(start)?;
    if !output.status.success() {
        return Err(GoError::Env(output.status));
    }
    let answer = String::from_utf8_lossy(&output.stdout);
    let mut lines = answer.lines().map(str::trim);
    let found = lines.next().unwrap_or_default().to_owned();
    // Before Go 1.21 there was no such thing, and the answer is empty.
    let toolchain = lines.next().filter(|line| !line.is_empty()).unwrap_or("local").to_owned();

    let new_enough = version::numbers(&found) >= version::numbers(&needed);
    let may_fetch = ["auto", "path"].iter().any(|word| toolchain.ends_with(word));
    if new_enough || may_fetch { Ok(go) } else { Err(GoError::TooOld { go, found, needed, toolchain }) }
}

/// The version in the `go` directive of a go.mod; empty when it has none.
fn needed(go_mod: &str) -> String {
    let directive = go_mod.lines().find_map(|line| line.strip_prefix("go "));
    directive.and_then(|rest| rest.split_whitespace().next()).unwrap_or_default().to_owned()
}

fn at_least(version: &str) -> String {
    format!("Go >= {version}").trim_end_matches([' ', '>', '=']).to_owned()
}
