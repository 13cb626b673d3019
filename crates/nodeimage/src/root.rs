//! The root of a node.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cluster::Shell;
use fs_err as fs;
use sha2::{Digest as _, Sha256};
use thirdparty::Progress;

use crate::error::{Error, Result};
use crate::ingredients::Ingredients;

const SUITE: &str = "bookworm";
/// Nothing on a node reads them.
const UNREAD: [&str; 5] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt/archives", "var/lib/apt/lists"];
/// Directories of links to units that start by themselves; a node starts two, which are put there afterwards. Those of
/// packages are in `/etc`, all of which go.
const WANTS: [&str; 3] = [
    "usr/lib/systemd/system/multi-user.target.wants",
    "usr/lib/systemd/system/local-fs.target.wants",
    "usr/lib/systemd/system/basic.target.wants",
];
const UNITS: &str = "etc/systemd/system";
/// Units that fail in a container, or hand its console to others.
const MASKED: [&str; 5] = [
    "systemd-binfmt.service",
    "systemd-tmpfiles-setup.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-initctl.socket",
];

/// Debian's part, kept for the next image of the same packages.
pub(crate) fn debian(
    ingredients: &Ingredients,
    cache: &Path,
    shell: &Shell,
    progress: &dyn Progress,
) -> Result<PathBuf> {
    let packages = ingredients.packages()?.join(",");
    let key: String = Sha256::digest(&packages).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept = cache.join(format!("debian-{SUITE}-{key}"));
    if kept.is_dir() {
        return Ok(kept);
    }
    fs::create_dir_all(cache).map_err(Error::io("make", cache))?;
    // Removed with everything in it when debootstrap fails.
    let made = tempfile::Builder::new().prefix(".debian-").tempdir_in(cache).map_err(Error::io("make", cache))?;
    debootstrap(&packages, made.path(), progress)?;
    for unread in UNREAD {
        shell.remove_dir(&made.path().join(unread))?;
    }
    let made = made.keep();
    // A root that only its owner may enter would be one for no other user of the node either.
    fs::set_permissions(&made, std::fs::Permissions::from_mode(0o755)).map_err(Error::io("set the mode of", &made))?;
    fs::rename(&made, &kept).map_err(Error::io("rename", &made))?;
    Ok(kept)
}

/// Lets debootstrap get the packages and unpack them, which takes a minute.
fn debootstrap(packages: &str, to: &Path, progress: &dyn Progress) -> Result<()> {
    let failed = |why: String| {
        Error::Failed(format!(
            "debootstrap {why}; it has to be there (`apt-get install debootstrap`), to be run as root, and to reach a mirror \
             of Debian's packages"
        ))
    };
    let spawned = Command::new("debootstrap")
        .args(["--variant=minbase", &format!("--include={packages}"), SUITE])
        .arg(to)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.map_err(|error| failed(format!("cannot be started ({error})")))?;
    let mut last = String::new();
    for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).map_while(Result::ok) {
        progress.tick(&line, None);
        last = line;
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(failed(format!("ended with {status} after `{last}`"))),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Puts a root together, all but the images in it.
pub(crate) fn assemble(
    ingredients: &Ingredients,
    debian: &Path,
    root: &Path,
    images: &[String],
    shell: &Shell,
) -> Result<()> {
    shell.run(Path::new("cp"), &["-a", &debian.display().to_string(), &root.display().to_string()], &[])?;
    WANTS.iter().try_for_each(|wants| shell.remove_dir(&root.join(wants)))?;
    let units = root.join(UNITS);
    for entry in fs::read_dir(&units).map_err(Error::io("read", &units))? {
        let path = entry.map_err(Error::io("read", &units))?.path();
        if path.extension().is_some_and(|extension| extension == "wants") {
            shell.remove_dir(&path)?;
        }
    }
    for unit in MASKED {
        link(Path::new("/dev/null"), &root.join(UNITS).join(unit))?;
    }
    for (inside, path) in ingredients.files()? {
        copy(&path, &root.join(inside))?;
    }
    for unit in ["containerd.service", "kubelet.service"] {
        let wants = units.join("multi-user.target.wants").join(unit);
        link(&Path::new("/etc/systemd/system").join(unit), &wants)?;
    }
    link(Path::new("/usr/lib/cni"), &root.join("opt/cni/bin"))?;
    for (name, place) in [
        ("node-kubeadm", "usr/bin/kubeadm"),
        ("kubelet", "usr/bin/kubelet"),
        ("kubectl", "usr/bin/kubectl"),
        ("containerd", "usr/local/bin/containerd"),
        ("ctr", "usr/local/bin/ctr"),
        ("containerd-shim-runc-v2", "usr/local/bin/containerd-shim-runc-v2"),
    ] {
        copy(ingredients.program(name)?, &root.join(place))?;
    }
    write(&root.join("kind/version"), ingredients.version())?;
    // Docker copies into directories that are there.
    let networks = root.join("etc/cni/net.d");
    fs::create_dir_all(&networks).map_err(Error::io("make", &networks))?;
    let pause = images.iter().find(|name| name.contains("/pause:"));
    let pause = pause.ok_or_else(|| Error::Failed("kubeadm names no pause image".to_owned()))?;
    let config = root.join("etc/containerd/config.toml");
    let text = fs::read_to_string(&config).map_err(Error::io("read", &config))?;
    write(&config, &text.replace("@PAUSE@", pause))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    make_parent(to)?;
    fs::copy(from, to).map_err(Error::io("copy", from))?;
    let mode = if fs::metadata(from).is_ok_and(|from| from.permissions().mode() & 0o111 != 0) { 0o755 } else { 0o644 };
    fs::set_permissions(to, std::fs::Permissions::from_mode(mode)).map_err(Error::io("set the mode of", to))
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_parent(path)?;
    fs::write(path, text).map_err(Error::io("write", path))
}

fn link(target: &Path, path: &Path) -> Result<()> {
    make_parent(path)?;
    // What the package has there, a file or an empty directory, goes.
    fs::remove_file(path).or_else(|_| fs::remove_dir(path)).ok();
    symlink(target, path).map_err(Error::io("link", path))
}

fn make_parent(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    fs::create_dir_all(parent).map_err(Error::io("make", parent))
}
