//! One process at a time gets a program; the others wait, and say for whom.

use std::fs::TryLockError;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use fs_err as fs;

use crate::cache::now;
use crate::progress::Progress;

/// A lock that is held until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: fs::File,
}

impl Lock {
    /// Takes the lock on a file, which is made when it is not there.
    pub(crate) fn take(path: &Path, what: &str, progress: &dyn Progress) -> io::Result<Self> {
        const PAUSE: Duration = Duration::from_millis(100);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut waiting_for = String::new();
        // Asked again and again and not in one blocking call, so that the one who waits sees that it does.
        loop {
            match file.file().try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Read each time: the holder may still have to write, and another may come before us.
            let holder = holder(path);
            if holder != waiting_for {
                progress.start(what, &holder);
                waiting_for = holder;
            }
            progress.tick(&format!("waiting for {waiting_for}"), None);
            thread::sleep(PAUSE);
        }
        if !waiting_for.is_empty() {
            progress.done(&format!("{what}: waited for {waiting_for}"));
        }
        file.set_len(0)?;
        writeln!(file, "process {}, which has been getting it since {}", std::process::id(), now())?;
        Ok(Self { _file: file })
    }
}

/// Who holds the lock, as it wrote itself. It may be about to write.
fn holder(path: &Path) -> String {
    let mut text = String::new();
    match fs::File::open(path).and_then(|file| file.take(1024).read_to_string(&mut text)) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process, which has just begun".to_owned(),
    }
}
