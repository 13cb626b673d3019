//! Ending a cluster, whoever made it: what its directory holds says who.

use std::path::Path;

use crate::error::Result;
use crate::shell::Shell;
use crate::{kind, kwok};

/// Ends everything of the cluster `name` and removes its files, however little of it is left; returns how many processes of this
/// machine were ended.
///
/// # Errors
/// When a process or a container does not end, or a file cannot be removed.
pub fn remove(name: &str, directory: &Path, shell: &Shell) -> Result<usize> {
    match kind::made(directory) {
        true => kind::remove(directory, shell),
        false => kwok::remove(name, directory, shell),
    }
}
