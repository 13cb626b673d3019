//! The Spegel program that was given, for the record.

use std::path::PathBuf;

use cluster::{ProgramUsed, Shell};
use harness::{Error, Program, Result};
use sha2::{Digest as _, Sha256};

use super::NAME;

/// Variable with the path of a Spegel program, which is linked statically.
pub const PROGRAM: &str = "KUBEDYNO_SPEGEL";

/// The program that the variable names, with what it says of its version.
///
/// # Errors
/// When the variable is not set, or the program does not run.
pub(super) fn given() -> Result<Program> {
    let path = std::env::var_os(PROGRAM).filter(|path| !path.is_empty()).map(PathBuf::from);
    let path = path.ok_or_else(|| Error::Environment(format!("{PROGRAM} is not set: it names a Spegel program")))?;
    let cannot = |error: &dyn std::fmt::Display| Error::Environment(format!("{PROGRAM}: {error}"));
    let said = Shell::real().output(&path, &["version"]).map_err(|error| cannot(&error))?;
    let bytes = fs_err::read(&path).map_err(|error| cannot(&error))?;
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let version = said.lines().next().unwrap_or_default().trim().to_owned();
    let source = "explicit path".to_owned();
    let used = ProgramUsed { name: NAME.to_owned(), version, source, sha256, path, deviates: true };
    Ok(Program { used, module: PathBuf::new() })
}
