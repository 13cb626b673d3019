//! sha256 in hex, of bytes as they pass by.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::path::Path;

use fs_err as fs;
use sha2::{Digest as _, Sha256};

/// The sha256 of a file, in hex.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut hashed = Hashed::new(io::sink());
    copy(fs::File::open(path)?, &mut hashed)?;
    Ok(hashed.hex())
}

/// The sha256 of some parts, in hex. Each part's length goes in as well, so that no two lists are one text.
pub(crate) fn of_parts(parts: &[&[u8]]) -> String {
    let mut sha256 = Sha256::new();
    for part in parts {
        sha256.update((part.len() as u64).to_le_bytes());
        sha256.update(part);
    }
    hex(sha256)
}

/// A writer that hashes what it passes on.
pub(crate) struct Hashed<W> {
    inner: W,
    sha256: Sha256,
}

impl<W: Write> Hashed<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, sha256: Sha256::new() }
    }

    pub(crate) fn hex(self) -> String {
        hex(self.sha256)
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// `io::copy` with a buffer that is large enough for the hash, and not the disk calls, to be what takes time.
fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => to.write_all(&buffer[..n])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(sha256: Sha256) -> String {
    sha256.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_what_sha256sum_prints() {
        let mut hashed = Hashed::new(io::sink());
        hashed.write_all(b"abc").unwrap();
        assert_eq!(hashed.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
