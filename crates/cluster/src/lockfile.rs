//! Lock files that may be removed: who opened one that was removed before it was locked has no lock, and opens the next.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::lease::Mode;

/// Locks the file at `path`, which is made when it is not there; `None` when somebody is in the way.
///
/// # Errors
/// When it cannot be made or locked.
pub(crate) fn try_lock(path: &Path, mode: Mode) -> Result<Option<File>> {
    loop {
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).read(true).write(true).open(path);
        let file = file.map_err(Error::io("open", path))?;
        let locked = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match locked {
            Ok(()) if is_at(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path)(error)),
        }
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let same = |a: std::fs::Metadata, b: std::fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().is_ok_and(|locked| std::fs::metadata(path).is_ok_and(|there| same(locked, there)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn two_never_hold_a_lock_whose_file_is_removed_again_and_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.up");
        let (held, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
        let until = Instant::now() + Duration::from_millis(300);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while Instant::now() < until {
                        let Some(lock) = try_lock(&path, Mode::Exclusive).unwrap() else { continue };
                        assert!(!held.swap(true, Ordering::SeqCst), "two hold it");
                        held.store(false, Ordering::SeqCst);
                        std::fs::remove_file(&path).unwrap();
                        taken.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 10);
    }
}
