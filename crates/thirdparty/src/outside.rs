//! Programs that the user provides: by name in the environment, or on `PATH`. They are asked and hashed each
//! time, since they may be wrappers or links that lead elsewhere tomorrow.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;

use crate::digest;
use crate::environment::{Environment, is_executable};
use crate::error::Error;
use crate::pins::Pin;
use crate::program::{Attempt, Program, Source};
use crate::version::{self, VersionError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsideError {
    #[error("it cannot be used")]
    Unreadable(#[from] io::Error),
    #[error("it is not an executable file")]
    NotExecutable,
    #[error("its version cannot be told")]
    Version(#[from] VersionError),
    #[error("{} says `{version}`, at least {pinned} is needed", path.display())]
    Older { path: PathBuf, version: String, pinned: String },
}

/// The user's own program for a pin, when there is one to use. What was passed over is noted.
pub(crate) fn find(
    pin: &Pin,
    environment: &Environment,
    limit: Duration,
    passed_over: &mut Vec<Attempt>,
) -> Result<Option<Program>, Error> {
    if let Some(path) = environment.get(&pin.variable()) {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
        let found = look(pin, path.clone(), Source::Explicit, environment, limit);
        return found.map(Some).map_err(|why| Error::explicit(pin, path, &why));
    }
    passed_over.push(Attempt::new(Source::Explicit, format!("{} is not set", pin.variable())));

    if pin.on_path {
        match environment.on_path(&pin.name) {
            Some(path) => match recent(pin, path, environment, limit) {
                Ok(found) => return Ok(Some(Program { passed_over: passed_over.clone(), ..found })),
                Err(why) => passed_over.push(Attempt::new(Source::Path, crate::error::chain(&why))),
            },
            None => passed_over.push(Attempt::new(Source::Path, format!("no {} there", pin.name))),
        }
    }
    Ok(None)
}

/// A program on `PATH`, when it is at least of the pinned version.
fn recent(pin: &Pin, path: PathBuf, environment: &Environment, limit: Duration) -> Result<Program, OutsideError> {
    let found = look(pin, path, Source::Path, environment, limit)?;
    if version::numbers(&found.version) >= version::numbers(&pin.version) {
        Ok(found)
    } else {
        Err(OutsideError::Older { path: found.path, version: found.version, pinned: found.pinned_version })
    }
}

fn look(
    pin: &Pin,
    path: PathBuf,
    source: Source,
    environment: &Environment,
    limit: Duration,
) -> Result<Program, OutsideError> {
    if !is_executable(&fs::metadata(&path)?) {
        return Err(OutsideError::NotExecutable);
    }
    let answer = version::ask(pin, &path, environment, limit)?;
    Ok(Program {
        name: pin.name.clone(),
        version: answer.line,
        pinned_version: pin.version.clone(),
        sha256: digest::of_file(&path)?,
        path,
        source,
        origin: None,
        passed_over: Vec::new(),
        deviates: !answer.is_pinned,
    })
}
