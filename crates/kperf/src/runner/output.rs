//! Where a result goes: to its file, whole or not at all, or to stdout.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};
use crate::say;

/// The place of a result, tried before there is one.
#[derive(Debug)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// A file that is written beside and renamed.
    File {
        /// Its path.
        path: PathBuf,
        /// The file beside it.
        beside: NamedTempFile,
    },
    /// What is no file and cannot be renamed onto: a pipe, a device.
    Stream(PathBuf),
}

impl Output {
    /// Makes the directories of `path`, and a file beside it.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::Stdout) };
        if path.is_dir() {
            return Err(Error::Usage(format!("--result {} is a directory: name a file in it", path.display())));
        }
        if path.exists() && !path.is_file() {
            return Ok(Self::Stream(path.to_owned()));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(Error::write(path))?;
        let beside = NamedTempFile::new_in(parent).map_err(Error::write(path))?;
        Ok(Self::File { path: path.to_owned(), beside })
    }

    /// Writes the result.
    ///
    /// # Errors
    /// When it cannot be written. It is on stdout then, because a load is not run again for a full disk.
    pub fn write(self, result: &[u8]) -> Result<()> {
        let mut stdout = std::io::stdout();
        let (path, written) = match self {
            Self::Stdout => return stdout.write_all(result).map_err(Error::write(Path::new("stdout"))),
            Self::Stream(path) => {
                let written = std::fs::write(&path, result);
                (path, written)
            }
            Self::File { path, mut beside } => {
                let written = beside
                    .write_all(result)
                    .and_then(|()| beside.as_file().sync_all())
                    .and_then(|()| beside.persist(&path).map(drop).map_err(|error| error.error));
                (path, written)
            }
        };
        written.map_err(|source| {
            say(&format!("warning: {} cannot be written; the result follows on stdout", path.display()));
            stdout.write_all(result).ok();
            Error::Write { path, source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_gets_the_directories_that_it_needs_and_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b/result.json");
        Output::open(Some(&path)).unwrap().write(b"{}\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}\n");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_refused_before_the_load() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("file");
        std::fs::write(&file, "").unwrap();
        let below = file.join("result.json");
        let error = Output::open(Some(&below)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot write {}: ", below.display())), "{error}");
        let error = Output::open(Some(place.path())).unwrap_err().to_string();
        assert!(error.contains("is a directory: name a file in it"), "{error}");
    }
}
