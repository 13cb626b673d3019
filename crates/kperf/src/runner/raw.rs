//! Every single request of a load, streamed to a CSV file, so that no load keeps them in memory.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use apiload::{Ended, Finished};
use async_channel::Receiver;
use serde::Serialize;

use crate::error::{Error, Result};

/// Requests that may wait for the disk.
pub(super) const ROOM: usize = 1 << 16;

/// A line of the file: times are in seconds from the start of the phase.
#[derive(Serialize)]
struct Line<'a> {
    phase: usize,
    request: &'a str,
    intended_s: f64,
    sent_s: Option<f64>,
    first_byte_s: Option<f64>,
    done_s: f64,
    response_s: f64,
    service_s: Option<f64>,
    body_bytes: u64,
    ended: String,
    message: &'a str,
}

/// The thread that writes the file.
#[derive(Debug)]
pub struct Raw {
    path: PathBuf,
    writer: JoinHandle<csv::Result<()>>,
}

impl Raw {
    /// Opens the file, and writes what `finished` brings until it is closed.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, finished: Receiver<Finished>) -> Result<Self> {
        let file = File::create(path).map_err(Error::write(path))?;
        let writer = std::thread::spawn(move || {
            let mut csv = csv::Writer::from_writer(BufWriter::new(file));
            while let Ok(finished) = finished.recv_blocking() {
                csv.serialize(Line::of(&finished))?;
            }
            Ok(csv.flush()?)
        });
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// When something was not.
    pub fn finish(self) -> Result<()> {
        let written = self.writer.join().map_err(|_| std::io::Error::other("the writer died"));
        written.and_then(|written| written.map_err(Into::into)).map_err(Error::write(&self.path))
    }
}

impl<'a> Line<'a> {
    fn of(Finished { phase, label, record }: &'a Finished) -> Self {
        let (ended, message) = match &record.ended {
            Ended::Completed => ("completed".to_owned(), ""),
            Ended::Failed(failure, message) => (failure.to_string(), message.as_str()),
            Ended::TimedOut => ("timed-out".to_owned(), ""),
        };
        let since = |from: Duration| record.done.saturating_sub(from).as_secs_f64();
        Self {
            phase: *phase,
            request: label,
            intended_s: record.intended.as_secs_f64(),
            sent_s: record.sent.map(|at| at.as_secs_f64()),
            first_byte_s: record.first_byte.map(|at| at.as_secs_f64()),
            done_s: record.done.as_secs_f64(),
            response_s: since(record.intended),
            service_s: record.sent.map(since),
            body_bytes: record.body_bytes,
            ended,
            message,
        }
    }
}
