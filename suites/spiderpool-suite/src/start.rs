//! What it costs to start a plugin's program, apart from what the plugin does.

use std::fs::{File, copy, metadata};
use std::path::{Path, PathBuf};
use std::time::Instant;

use harness::{Error, Trial};
use measure::Quantiles;

use crate::cni::Cni;

/// Starts that a figure is the median of.
const STARTS: usize = 20;
/// A program that does nothing.
const TRUE: &str = "/bin/true";

/// Writes into the record what it takes to start an empty program of the plugin's size (`exec_empty_p50_ms`), and the plugin's
/// own, which says its version (`exec_version_p50_ms`): the first is the machine's cost of an exec, the difference that of the
/// plugin's runtime, and the rest of a request is the plugin's work.
///
/// # Errors
/// When a program cannot be run.
pub(crate) async fn record(trial: &mut Trial, cni: &Cni, directory: &Path) -> Result<(), Error> {
    let empty = Cni { program: empty(directory, &cni.program)?, ..cni.clone() };
    for (metric, cni) in [("exec_empty_p50_ms", &empty), ("exec_version_p50_ms", cni)] {
        let mut took = Vec::new();
        for _ in 0..STARTS {
            let started = Instant::now();
            let ran = cni.version().await;
            ran.map_err(|failure| Error::Environment(format!("{}: {failure}", cni.program.display())))?;
            took.push(started.elapsed());
        }
        if let Some(p50) = Quantiles::of(took).p50_ms {
            trial.metric(metric, p50);
        }
    }
    Ok(())
}

/// A program that does nothing, as large as `program`: what lies behind the end of an executable is never looked at.
fn empty(directory: &Path, program: &Path) -> Result<PathBuf, Error> {
    let path = directory.join("empty");
    let made = metadata(program).and_then(|like| {
        copy(TRUE, &path)?;
        File::options().write(true).open(&path)?.set_len(like.len())
    });
    made.map_err(|error| Error::Environment(format!("cannot make {} of {TRUE}: {error}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_program_is_as_large_as_its_model_and_runs() {
        let dir = tempfile::tempdir().unwrap();
        let model = dir.path().join("model");
        File::create(&model).unwrap().set_len(3 << 20).unwrap();
        let empty = empty(dir.path(), &model).unwrap();
        assert_eq!(metadata(&empty).unwrap().len(), 3 << 20);
        // A file that was written a moment ago can be busy while another test forks.
        let status = loop {
            match std::process::Command::new(&empty).status() {
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
                status => break status,
            }
        };
        assert!(status.unwrap().success());
    }
}
