//! A layer as a stream: files into a tar, the tar through a compressor, both hashed on the way.

use std::io::{self, Read, Write};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use fs_err as fs;
use tar::{Builder, EntryType, Header};

use crate::digest::Hashed;
use crate::noise::Noise;
use crate::spec::{Compression, File, Layer, Source, Spec};

const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 3;

/// What a layer turned out to be.
#[derive(Debug)]
pub(crate) struct Written {
    /// The digest of the tar.
    pub(crate) diff_id: String,
    /// The digest of the blob.
    pub(crate) digest: String,
    /// Bytes of the blob.
    pub(crate) bytes: u64,
}

/// Writes the blob of a layer.
pub(crate) fn write(spec: &Spec, layer: &Layer, out: impl Write) -> io::Result<Written> {
    let compressor = Compressor::new(spec.compression, Hashed::new(out))?;
    let mut tar = Builder::new(Hashed::new(compressor));
    match layer {
        Layer::Generated { bytes, seed } => {
            let content = Noise::new(*seed, spec.random_percent).take(*bytes);
            // Named by its seed, so that no layer hides another's file.
            regular(&mut tar, format!("generated/{seed:016x}").as_ref(), 0o644, *bytes, content)?;
        }
        Layer::Files(files) => files.iter().try_for_each(|file| append(&mut tar, file))?,
    }
    let (compressor, diff_id, _) = tar.into_inner()?.finish();
    let (mut out, digest, bytes) = compressor.finish()?.finish();
    out.flush()?;
    Ok(Written { diff_id, digest, bytes })
}

fn append(tar: &mut Builder<impl Write>, file: &File) -> io::Result<()> {
    match &file.source {
        Source::Program(program) => {
            let program = fs::File::open(program)?;
            regular(tar, &file.path, 0o755, program.metadata()?.len(), program)
        }
        Source::Content(content) => regular(tar, &file.path, 0o644, content.len() as u64, content.as_slice()),
        Source::Link(target) => {
            let mut header = header(0o777, 0);
            header.set_entry_type(EntryType::Symlink);
            tar.append_link(&mut header, &file.path, target)
        }
    }
}

fn regular(
    tar: &mut Builder<impl Write>,
    path: &std::path::Path,
    mode: u32,
    bytes: u64,
    content: impl Read,
) -> io::Result<()> {
    tar.append_data(&mut header(mode, bytes), path, content)
}

/// A header in which nothing is of this machine or of now.
fn header(mode: u32, bytes: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

enum Compressor<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Compressor<W> {
    fn new(compression: Compression, out: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(out),
            Compression::Gzip => {
                /// The operating system in the header: unknown.
                const UNKNOWN: u8 = 255;
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(GzBuilder::new().mtime(0).operating_system(UNKNOWN).write(out, level))
            }
            Compression::Zstd => Self::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::None(out) => Ok(out),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::None(out) => out.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::None(out) => out.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
