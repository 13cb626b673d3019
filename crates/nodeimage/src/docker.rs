//! Handing a root to Docker as an image of one layer. `docker import` takes no stop signal, and a builder is not everywhere.

use std::io::Read as _;
use std::path::Path;

use cluster::Shell;
use fs_err as fs;
use images::Architecture;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

const LAYER: &str = "layer.tar";
const CONFIG: &str = "config.json";

/// Lets Docker load the image `tag` of the files in `root`. `work` is for archives.
pub(crate) fn load(root: &Path, tag: &str, work: &Path, shell: &Shell) -> Result<()> {
    let parts = work.join("image");
    fs::create_dir(&parts).map_err(Error::io("make", &parts))?;
    let layer = parts.join(LAYER);
    archive(&["--numeric-owner"], &layer, root, shell)?;
    write(&parts.join(CONFIG), &config(&digest(&layer)?))?;
    write(&parts.join("manifest.json"), &json!([{"Config": CONFIG, "RepoTags": [tag], "Layers": [LAYER]}]))?;
    let image = work.join("image.tar");
    archive(&[], &image, &parts, shell)?;
    load_archive(&image, shell)
}

/// Lets Docker load the images of an archive.
pub(crate) fn load_archive(archive: &Path, shell: &Shell) -> Result<()> {
    Ok(shell.run(Path::new("docker"), &["load", "--quiet", "--input", &archive.display().to_string()], &[])?)
}

fn config(layer: &str) -> serde_json::Value {
    let architecture = if Architecture::host() == Architecture::Arm64 { "arm64" } else { "amd64" };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
            "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
            // systemd takes SIGTERM for a wish to be started again.
            "StopSignal": "SIGRTMIN+3",
        },
        "rootfs": {"type": "layers", "diff_ids": [layer]},
    })
}

fn archive(options: &[&str], archive: &Path, directory: &Path, shell: &Shell) -> Result<()> {
    let (archive, directory) = (archive.display().to_string(), directory.display().to_string());
    let args = ["--create", "--file", &archive, "--directory", &directory, "."];
    Ok(shell.run(Path::new("tar"), &[options, &args].concat(), &[])?)
}

/// The sha256 of a file.
pub(crate) fn digest(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).map_err(Error::io("read", path))?;
    let (mut sha256, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut buffer).map_err(Error::io("read", path))? {
            0 => break,
            n => sha256.update(&buffer[..n]),
        }
    }
    Ok(sha256.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}

fn write(path: &Path, value: &serde_json::Value) -> Result<()> {
    fs::write(path, value.to_string()).map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_of_the_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "abc").unwrap();
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).unwrap(), abc);
        assert_eq!(config(abc)["rootfs"]["diff_ids"][0], abc);
    }
}
