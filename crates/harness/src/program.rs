//! Programs of a system under test, got by a setup script and found by the tests.

use std::path::PathBuf;

use cluster::ProgramUsed;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A pinned program that a setup script has got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// The program, and where it came from.
    pub used: ProgramUsed,
    /// The directory of its Go module, with the manifests that belong to it.
    pub module: PathBuf,
}

impl Program {
    /// The variable that a setup script keeps the program called `name` in, as JSON: `KUBEDYNO_PROGRAM_HOST_LOCAL`.
    pub fn variable(name: &str) -> String {
        format!("KUBEDYNO_PROGRAM_{}", name.to_uppercase().replace('-', "_"))
    }

    /// The program called `name`.
    ///
    /// # Errors
    /// When the setup script did not get it.
    pub fn of(name: &str) -> Result<Self> {
        let variable = Self::variable(name);
        let text = std::env::var(&variable).map_err(|_| {
            let fix = "nextest's setup script sets it; run `cargo nextest run -p SUITE` or `cargo xtask run SUITE`";
            Error::Environment(format!("{variable} is not set: {fix}"))
        })?;
        serde_json::from_str(&text).map_err(|error| Error::Environment(format!("{variable} names no program: {error}")))
    }
}
