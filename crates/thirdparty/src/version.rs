//! Asking a program its version, and judging the answer.

use std::io::{self, Read, Seek};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::environment::{Environment, spawn};
use crate::pins::Pin;

#[derive(Debug, thiserror::Error)]
pub(crate) enum VersionError {
    #[error("it could not be started")]
    Start(#[source] io::Error),
    #[error("there is no `{by}` on PATH, which tells its version")]
    NobodyToAsk { by: String },
    #[error("`{command}` gave no answer in {limit:?}")]
    Silent { command: String, limit: Duration },
    #[error("`{command}` ended with {status}: {line}")]
    Failed { command: String, status: ExitStatus, line: String },
    #[error("it says `{line}`, not `{expect}`")]
    Other { line: String, expect: String },
}

/// What a program said about its version.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The first line of it.
    pub(crate) line: String,
    /// Whether it is the pinned version.
    pub(crate) is_pinned: bool,
}

/// Asks a program its version.
pub(crate) fn ask(
    pin: &Pin,
    program: &Path,
    environment: &Environment,
    limit: Duration,
) -> Result<Answer, VersionError> {
    let command = || format!("{} {}", pin.by.as_ref().unwrap_or(&pin.name), pin.ask.join(" "));
    let mut asked = match &pin.by {
        Some(by) => {
            let asked = environment.on_path(by).ok_or_else(|| VersionError::NobodyToAsk { by: by.clone() })?;
            let mut asked = environment.command(&asked);
            asked.args(&pin.ask).arg(program);
            asked
        }
        None => {
            let mut asked = environment.command(program);
            asked.args(&pin.ask);
            asked
        }
    };
    // Files and not pipes: a full pipe that nobody drains would look like a program that hangs.
    let mut stdout = tempfile::tempfile().map_err(VersionError::Start)?;
    let mut stderr = tempfile::tempfile().map_err(VersionError::Start)?;
    let mut child = spawn(
        asked
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().map_err(VersionError::Start)?)
            .stderr(stderr.try_clone().map_err(VersionError::Start)?),
    )
    .map_err(VersionError::Start)?;

    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(VersionError::Start)? {
            Some(status) => break status,
            None if started.elapsed() < limit => thread::sleep(Duration::from_millis(2)),
            None => {
                // Failing to kill it means that it has just ended; the answer is late all the same.
                let _ = child.kill();
                let _ = child.wait();
                return Err(VersionError::Silent { command: command(), limit });
            }
        }
    };

    let mut output = text(&mut stdout).map_err(VersionError::Start)?;
    if output.trim().is_empty() {
        output = text(&mut stderr).map_err(VersionError::Start)?;
    }
    let mut lines = output.trim().lines();
    let first = lines.clone().next().unwrap_or("(no output)");
    // Some say more than their version, and that first.
    let line = lines.find(|line| line.contains(&pin.expect)).unwrap_or(first);
    // Where a program was built is no part of its version.
    let line = line.trim().replace('\t', " ").replace(&program.display().to_string(), &pin.name);
    if !status.success() {
        return Err(VersionError::Failed { command: command(), status, line });
    }
    Ok(Answer { is_pinned: says(&output, &pin.expect), line })
}

/// As [`ask`], but only the pinned version will do.
pub(crate) fn require(
    pin: &Pin,
    program: &Path,
    environment: &Environment,
    limit: Duration,
) -> Result<String, VersionError> {
    let Answer { line, is_pinned } = ask(pin, program, environment, limit)?;
    if is_pinned { Ok(line) } else { Err(VersionError::Other { line, expect: pin.expect.clone() }) }
}

/// The first `major.minor[.patch]` in a text, with or without a prefix such as `v` or `go`.
pub(crate) fn numbers(text: &str) -> Option<[u64; 3]> {
    text.split_whitespace().find_map(|word| {
        let number = word.trim_start_matches(|c: char| !c.is_ascii_digit());
        // What follows the numbers (`1.27rc1`, `0.9.151-b.1`) does not order them for our purpose.
        let end = number.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(number.len());
        let mut parts = number[..end].split('.').map(|part| part.parse().ok());
        let major = parts.next()??;
        let minor = parts.next()??;
        Some([major, minor, parts.next().flatten().unwrap_or(0)])
    })
}

/// Whether the words stand in the text whole, so that `v1.36.3` is not found in `v1.36.30` or `v1.36.3-dirty`.
fn says(text: &str, words: &str) -> bool {
    let stands_alone = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + words.len()..].chars().next();
        [before, after].into_iter().flatten().all(char::is_whitespace)
    };
    text.match_indices(words).any(|(at, _)| stands_alone(at))
}

fn text(file: &mut std::fs::File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(64 * 1024).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::alone("Kubernetes v1.36.3\n", true)]
    #[case::in_a_line("kwok says: Kubernetes v1.36.3 go1.26", true)]
    #[case::longer_patch("Kubernetes v1.36.30", false)]
    #[case::built_from_a_dirty_tree("Kubernetes v1.36.3-dirty", false)]
    #[case::vendor_build("Kubernetes v1.36.3+k3s1", false)]
    #[case::second_occurrence("Kubernetes v1.36.30 Kubernetes v1.36.3", true)]
    #[case::nothing("", false)]
    fn a_version_is_found_whole(#[case] output: &str, #[case] found: bool) {
        assert_eq!(says(output, "Kubernetes v1.36.3"), found);
    }

    #[rstest]
    #[case::go("go1.26.8", Some([1, 26, 8]))]
    #[case::go_without_patch("go1.27", Some([1, 27, 0]))]
    #[case::go_candidate("go1.27rc1", Some([1, 27, 0]))]
    #[case::go_devel("devel go1.27-4c2ef5a Mon", Some([1, 27, 0]))]
    #[case::nextest("cargo-nextest 0.9.151 (6b3f99457 2026-11-02)", Some([0, 9, 151]))]
    #[case::none("command not found", None)]
    #[case::one_number("build 7", None)]
    fn a_version_number_is_read(#[case] text: &str, #[case] expected: Option<[u64; 3]>) {
        assert_eq!(numbers(text), expected);
    }
}
