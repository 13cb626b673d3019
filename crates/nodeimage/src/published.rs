//! The image that kind's own project publishes.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// The default node image of the pinned kind (its `pkg/apis/config/defaults/image.go`), by its digest.
pub const PUBLISHED: &str =
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5";

/// How long Docker may say nothing at all: a registry that is not reached is often one that does not answer.
const SILENCE: Duration = Duration::from_secs(20);

/// Lets Docker pull the published image. `said` is told what Docker says.
///
/// # Errors
/// Why it cannot be had, in Docker's words.
pub fn pull(said: &dyn Fn(&str)) -> Result<(), String> {
    let spawned = Command::new("docker")
        .args(["pull", PUBLISHED])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|error| format!("docker: {error}"))?;
    let (lines, heard) = channel();
    let mut readers = Vec::new();
    let streams: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|stream| Box::new(stream) as _),
        child.stderr.take().map(|stream| Box::new(stream) as _),
    ];
    for stream in streams.into_iter().flatten() {
        let lines = lines.clone();
        readers.push(std::thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        }));
    }
    drop(lines);
    let mut last = String::new();
    loop {
        match heard.recv_timeout(SILENCE) {
            Ok(line) => {
                said(&line);
                last = line;
            }
            Err(RecvTimeoutError::Disconnected) => break,
            // A layer that is being downloaded is silent too, so only the first word is waited for.
            Err(RecvTimeoutError::Timeout) if last.is_empty() => {
                child.kill().ok();
                child.wait().ok();
                return Err(format!("Docker heard nothing from the registry for {} s", SILENCE.as_secs()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    readers.into_iter().for_each(|reader| drop(reader.join()));
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(last),
    }
}
