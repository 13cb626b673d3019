//! The verified cache: one directory per program and pin, complete or not there.

use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::digest;
use crate::environment::is_executable;
use crate::error::Error;
use crate::pins::Pin;
use crate::platform::Platform;
use crate::program::Source;

const PARTIAL: &str = ".partial-";
const RECEIPT: &str = "receipt.json";

/// Removes what processes that were killed half-way have left in a cache, and says what it was.
///
/// A directory of a process that still runs is kept.
///
/// # Errors
/// When a directory cannot be read or removed.
pub fn sweep_partials(cache: &Path) -> Result<Vec<PathBuf>, Error> {
    sweep(&cache.join("tools")).map_err(|error| Error::io("sweep the cache", error))
}

fn sweep(tools: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    if !tools.is_dir() {
        return Ok(removed);
    }
    for tool in fs::read_dir(tools)? {
        for entry in fs::read_dir(tool?.path())? {
            let entry = entry?;
            if owner(&entry.file_name().to_string_lossy()).is_some_and(|pid| !is_alive(pid)) {
                fs::remove_dir_all(entry.path())?;
                removed.push(entry.path());
            }
        }
    }
    removed.sort();
    Ok(removed)
}

/// The process that a partial directory belongs to, by its name.
fn owner(name: &str) -> Option<Pid> {
    let (pid, _) = name.strip_prefix(PARTIAL)?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    // Not allowed to signal it means that it is there.
    test_kill_process(pid) != Err(rustix::io::Errno::SRCH)
}

/// How a program got into the cache, and what to know it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    pub(crate) source: Source,
    /// In hex.
    pub(crate) sha256: String,
    /// In bytes.
    size: u64,
    /// Nanoseconds since 1970.
    mtime_ns: i64,
    /// The first line of it.
    pub(crate) version_output: String,
    /// RFC 3339, UTC.
    got_at: String,
}

/// The state of an entry.
#[derive(Debug)]
pub(crate) enum State {
    /// The program is there and is the one that was put there.
    Good(Receipt),
    /// There is nothing.
    Absent,
    /// There is something that is not to be used, and why.
    Broken(String),
}

/// The place of one pinned program in the cache.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The program's own directory, with an entry for each of its pins.
    tool: PathBuf,
    directory: PathBuf,
    name: String,
}

impl Entry {
    /// The place for a pin. It depends on all that decides what the program will be: the pin, the platform, and
    /// the versions of every library in its Go module.
    pub(crate) fn new(cache: &Path, modules: &Path, pin: &Pin, platform: Platform) -> Result<Self, Error> {
        let mut parts = vec![serde_json::to_vec(pin).map_err(|e| Error::io("hash a pin", e.into()))?];
        if let Some(go) = &pin.go {
            for file in ["go.mod", "go.sum"] {
                // Without them there is no build, but a download or a cached program is as good as ever.
                parts.push(fs::read(modules.join(&go.group).join(file)).unwrap_or_default());
            }
        }
        let hash = digest::of_parts(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let tool = cache.join("tools").join(&pin.name);
        let directory = tool.join(format!("{}-{platform}-{}", pin.version, &hash[..8]));
        Ok(Self { tool, directory, name: pin.name.clone() })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.directory.join(&self.name)
    }

    /// The file whose lock is held while the program is being got.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.tool.join(".lock")
    }

    /// What is there. Size and modification time are believed, unless `force`: hashing all programs takes more
    /// than the whole of adopting a cluster may. When they differ from the receipt (a restored CI cache has its own
    /// times), the content decides, and the receipt learns of it.
    pub(crate) fn check(&self, force: bool) -> State {
        if !self.directory.exists() {
            return State::Absent;
        }
        let mut receipt = match self.receipt() {
            Ok(receipt) => receipt,
            Err(error) => return State::Broken(format!("no usable receipt: {error}")),
        };
        let metadata = match fs::metadata(self.program()) {
            Ok(metadata) if is_executable(&metadata) => metadata,
            Ok(_) => return State::Broken("not an executable file".to_owned()),
            Err(error) => return State::Broken(error.to_string()),
        };
        let untouched = (metadata.len(), mtime_ns(&metadata)) == (receipt.size, receipt.mtime_ns);
        if untouched && !force {
            return State::Good(receipt);
        }
        match digest::of_file(&self.program()) {
            Ok(sha256) if sha256 == receipt.sha256 => {
                receipt.size = metadata.len();
                receipt.mtime_ns = mtime_ns(&metadata);
                // A cache that cannot be written to serves all the same, at the price of hashing each time.
                let _ = write_receipt(&self.directory, &receipt);
                State::Good(receipt)
            }
            Ok(sha256) => State::Broken(format!("its sha256 is {sha256}, and was {} when it was got", receipt.sha256)),
            Err(error) => State::Broken(error.to_string()),
        }
    }

    /// Takes the entry out of use. The caller holds the lock.
    pub(crate) fn discard(&self) -> io::Result<()> {
        // Moved before it is deleted: half an entry would be an entry.
        let partial = self.partial()?;
        fs::rename(&self.directory, partial.path().join("discarded"))?;
        partial.close()
    }

    /// An empty directory to get the program into. It goes when it is dropped; when this process is killed
    /// before, its name tells [`sweep_partials`] whose it was.
    pub(crate) fn partial(&self) -> io::Result<TempDir> {
        fs::create_dir_all(&self.tool)?;
        tempfile::Builder::new().prefix(&format!("{PARTIAL}{}-", std::process::id())).tempdir_in(&self.tool)
    }

    /// Puts a program that has been got and checked in its place, in one step. The caller holds the lock.
    pub(crate) fn fill(
        &self,
        partial: &TempDir,
        program: &Path,
        source: Source,
        version: String,
    ) -> io::Result<Receipt> {
        let staged = partial.path().join("entry");
        fs::create_dir(&staged)?;
        let moved = staged.join(&self.name);
        fs::rename(program, &moved)?;
        let file = fs::File::open(&moved)?;
        file.sync_all()?;

        let metadata = file.metadata()?;
        let receipt = Receipt {
            source,
            sha256: digest::of_file(&moved)?,
            size: metadata.len(),
            mtime_ns: mtime_ns(&metadata),
            version_output: version,
            got_at: now(),
        };
        write_receipt(&staged, &receipt)?;
        fs::rename(&staged, &self.directory)?;
        Ok(receipt)
    }

    fn receipt(&self) -> io::Result<Receipt> {
        let mut receipt: Receipt = serde_json::from_slice(&fs::read(self.directory.join(RECEIPT))?)?;
        // A receipt of an older version may begin with where the program was built.
        let built =
            receipt.version_output.split_once(&format!("/{PARTIAL}")).and_then(|(_, rest)| rest.split_once('/'));
        if let Some((_, version)) = built {
            receipt.version_output = version.to_owned();
        }
        Ok(receipt)
    }
}

/// Lets everybody run a program.
pub(crate) fn make_executable(program: &Path) -> io::Result<()> {
    fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))
}

/// In one step: a program without a whole receipt would have to be got again.
fn write_receipt(directory: &Path, receipt: &Receipt) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(&serde_json::to_vec_pretty(receipt)?)?;
    file.as_file().sync_all()?;
    file.persist(directory.join(RECEIPT))?;
    Ok(())
}

/// Now, as RFC 3339 in UTC with whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn mtime_ns(metadata: &Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}
