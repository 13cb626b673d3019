//! Programs from crates.io, by `cargo install` into a directory of our own. The crate's Cargo.lock is the
//! verification.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::build;
use crate::environment::Environment;
use crate::pins::{CargoPin, Pin};
use crate::progress::Progress;
use crate::tail::Tail;

/// A test runner need not be fast itself: this halves the build's time and memory.
const PROFILE: [(&str, &str); 3] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
];

#[derive(Debug, thiserror::Error)]
pub(crate) enum CargoError {
    #[error("no cargo on PATH")]
    Missing,
    #[error("cargo could not be run")]
    Start(#[from] io::Error),
    #[error("it ended with {status}: {tail}")]
    Failed { status: ExitStatus, tail: String },
}

/// Installs a crate below `work` and returns where its program is.
pub(crate) fn install(
    pin: &Pin,
    cargo: &CargoPin,
    work: &Path,
    environment: &Environment,
    progress: &dyn Progress,
) -> Result<PathBuf, CargoError> {
    let program = environment.on_path("cargo").ok_or(CargoError::Missing)?;
    progress.start(&pin.to_string(), "crates.io, a build takes minutes");
    let root = work.join("root");
    let mut cargo_install = build::command(environment, &program);
    cargo_install
        .args(["install", &cargo.package, "--version", &pin.version, "--locked", "--root"])
        .arg(&root)
        .args(["--no-default-features", "--features", &cargo.features.join(",")])
        .envs(PROFILE)
        .env("CARGO_TARGET_DIR", work.join("target"))
        // Away from this workspace, whose cargo configuration is not meant for it.
        .current_dir(work);

    let mut said = Tail::default();
    let status = build::run(&mut cargo_install, |line| {
        progress.tick(line.trim(), None);
        said.push(line);
    })?;
    if status.success() {
        return Ok(root.join("bin").join(&pin.name));
    }
    Err(CargoError::Failed { status, tail: said.to_string() })
}
