//! The image of kperf's runner: the program, and the libraries that it needs where it is not static. It is an archive, which
//! `docker load`, `kind load image-archive` and `ctr images import` take, so that none of them has to be there to make it.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use images::{File, Layout, Reference, Source, Spec, libraries};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::docker::digest;
use crate::error::{Error, Result};

/// Variable with a [`RunnerImage`] as JSON, which a setup script has made.
pub const RUNNER_IMAGE: &str = "KUBEDYNO_RUNNER_IMAGE";

/// What the image is called, without its tag.
pub const RUNNER_REPOSITORY: &str = "localhost/kubedyno-kperf";

/// The program in the image.
const PROGRAM: &str = "kperf";

/// An image of kperf's runner in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerImage {
    /// What it is called on a node that has loaded it: `localhost/kubedyno-kperf:VERSION-CONTENT`.
    pub reference: String,
    /// The archive.
    pub archive: PathBuf,
}

/// The image of this kperf in `directory`, made now when it is not there. Those of other builds go.
///
/// # Errors
/// When the program cannot be read, or the archive not be written.
pub fn runner_image(kperf: &Path, directory: &Path) -> Result<RunnerImage> {
    let files = files(kperf)?;
    let tag = format!("{}-{}", env!("CARGO_PKG_VERSION"), content(&files)?);
    let reference = format!("{RUNNER_REPOSITORY}:{tag}");
    let archive = directory.join(format!("{PROGRAM}-{tag}.tar"));
    if !archive.exists() {
        fs::remove_dir_all(directory).or_else(absent).map_err(Error::io("remove", directory))?;
        fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
        write(&reference, files, directory, &archive)?;
    }
    Ok(RunnerImage { reference, archive })
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// The program, and what the loader says that it needs: nothing where it is static.
fn files(kperf: &Path) -> Result<Vec<File>> {
    let program = File { path: PROGRAM.into(), source: Source::Program(kperf.to_owned()) };
    // Of a static program `ldd` may say so by failing.
    let listed = Command::new("ldd").arg(kperf).output().map_err(Error::io("ask ldd about", kperf))?;
    let listed = String::from_utf8_lossy(&listed.stdout);
    let library = |path: &str| File { path: path.trim_start_matches('/').into(), source: Source::Program(path.into()) };
    Ok(std::iter::once(program).chain(libraries(&listed).map(library)).collect())
}

/// A name for what is in the files.
fn content(files: &[File]) -> Result<String> {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.path.as_os_str().as_encoded_bytes());
        if let Source::Program(path) = &file.source {
            hash.update(digest(path)?);
        }
    }
    Ok(hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect())
}

fn write(reference: &str, files: Vec<File>, directory: &Path, archive: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(directory).map_err(Error::io("make a directory in", directory))?;
    let layout = Layout::open(work.path().join("layout"))?;
    let name: Reference =
        reference.parse().map_err(|error| Error::Failed(format!("{reference} is no image's name: {error}")))?;
    let image = layout.add(&name, &Spec::of_sizes(0, &[]).over(files, &["/kperf"]))?;
    let beside = work.path().join("archive.tar");
    images::archive(&layout, &[image], fs::File::create(&beside).map_err(Error::io("write", &beside))?)?;
    fs::rename(&beside, archive).map_err(Error::io("write", archive))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_holds_the_program_with_its_libraries_and_is_called_by_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other, images) = (dir.path().join("one"), dir.path().join("other"), dir.path().join("images"));
        // The test itself stands for a program with libraries, a script for one without.
        fs::copy(std::env::current_exe().unwrap(), &one).unwrap();
        fs::write(&other, "#!/bin/sh\n").unwrap();
        let paths = |program: &Path| files(program).unwrap().into_iter().map(|file| file.path).collect::<Vec<_>>();
        assert!(paths(&one).len() > 1 && paths(&one).iter().all(|path| path.is_relative()), "{:?}", paths(&one));
        assert_eq!(paths(&other), [Path::new("kperf")]);

        let made = runner_image(&other, &images).unwrap();
        assert!(made.reference.starts_with("localhost/kubedyno-kperf:0."), "{made:?}");
        let written = fs::metadata(&made.archive).unwrap().modified().unwrap();
        assert_eq!(runner_image(&other, &images).unwrap(), made);
        assert_eq!(fs::metadata(&made.archive).unwrap().modified().unwrap(), written, "it is not made twice");

        let another = runner_image(&one, &images).unwrap();
        assert_ne!(another.reference, made.reference);
        let left: Vec<_> = fs::read_dir(&images).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [another.archive]);
    }
}
