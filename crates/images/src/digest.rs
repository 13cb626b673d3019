//! sha256 digests of bytes as they pass by.

use std::fmt::Write as _;
use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

/// A writer that hashes and counts what it passes on.
#[derive(Debug)]
pub(crate) struct Hashed<W> {
    inner: W,
    sha256: Sha256,
    bytes: u64,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new(), bytes: 0 }
    }

    /// The writer below, the digest and the bytes of what was written.
    pub(crate) fn finish(self) -> (W, String, u64) {
        (self.inner, digest(self.sha256), self.bytes)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A digest as OCI writes it, `sha256:…`.
fn digest(sha256: Sha256) -> String {
    sha256.finalize().iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
