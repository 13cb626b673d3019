//! What a provider of clusters has to do; everything else is common to all of them.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use thirdparty::Program;

use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::shell::Shell;

/// A source of clusters.
pub trait Provider {
    /// Its name in descriptors, budgets and records.
    fn name(&self) -> &'static str;

    /// Hash of everything that makes a cluster of this provider what it is.
    fn key(&self) -> String;

    /// Makes the cluster `name` with its files in `directory`, and waits until it serves; `say` is told what takes its time. In a
    /// dry shell there is no cluster to describe.
    ///
    /// # Errors
    /// When a program fails; what was made so far is removed by [`crate::remove`].
    fn create(&self, name: &str, directory: &Path, shell: &Shell, say: &dyn Fn(&str)) -> Result<Option<Descriptor>>;

    /// Starts again what is dead in a cluster that was healthy before.
    ///
    /// # Errors
    /// When it cannot be started; the caller makes the cluster anew.
    fn restart(
        &self,
        descriptor: &Descriptor,
        directory: &Path,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Descriptor>;
}

/// A key of what a cluster is configured with and of the programs that it runs.
pub(crate) fn key(configuration: &[&str], programs: &BTreeMap<String, Program>) -> String {
    let mut hash = Sha256::new();
    for part in configuration.iter().copied().chain(programs.values().map(|program| program.sha256.as_str())) {
        hash.update(part);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
