//! What the nodes know of the registry and of its images.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cluster::KindNode;
use images::{File, Image, Source, libraries};

use crate::HOST;
use crate::error::{Error, Result};

/// containerd's client with the namespace of the kubelet.
const CTR: [&str; 3] = ["ctr", "--namespace", "k8s.io"];

/// Tells every node where the registry is, and which mirror to ask before it. containerd reads it at each pull.
pub(crate) fn tell(
    nodes: &[KindNode],
    proxy: SocketAddr,
    mirror: impl Fn(&KindNode) -> Option<SocketAddr>,
    directory: &Path,
) -> Result<()> {
    let file = directory.join("hosts.toml");
    let to = Path::new("/etc/containerd/certs.d").join(HOST).join("hosts.toml");
    nodes.iter().try_for_each(|node| {
        fs_err::write(&file, hosts(proxy, mirror(node))).map_err(Error::io("write", &file))?;
        node.put(&file, &to).map_err(Error::from)
    })
}

/// A `hosts.toml`. A mirror that is not there costs no more than the time to see that.
fn hosts(proxy: SocketAddr, mirror: Option<SocketAddr>) -> String {
    let server = format!("server = 'http://{proxy}'\n");
    let mirror = mirror.map_or(String::new(), |mirror| {
        format!("\n[host.'http://{mirror}']\ncapabilities = ['pull', 'resolve']\ndial_timeout = '200ms'\n")
    });
    server + &mirror
}

/// Takes every image of the registry off a node.
///
/// # Errors
/// When the node does not run.
pub fn forget(node: &KindNode) -> Result<()> {
    let text = node.run(&[&CTR[..], &["images", "ls"]].concat())?;
    let names = names(&text);
    if names.is_empty() {
        return Ok(());
    }
    node.run(&[&CTR[..], &["images", "rm", "--sync"], &names].concat())?;
    Ok(())
}

/// All names of the registry's images in a table of names, types, digests and more. An image has three: while one is left,
/// also that of its configuration's digest, its content stays, and another image may share some of it.
fn names(table: &str) -> Vec<&str> {
    let rows: Vec<[&str; 2]> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some([words.next()?, words.nth(1)?])
        })
        .collect();
    let is_ours = |name: &str| name.strip_prefix(HOST).is_some_and(|rest| rest.starts_with('/'));
    let ours: BTreeSet<&str> = rows.iter().filter(|[name, _]| is_ours(name)).map(|[_, digest]| *digest).collect();
    rows.iter().filter(|[_, digest]| ours.contains(digest)).map(|[name, _]| *name).collect()
}

/// The digests of an image that a node's content store holds: none is the proof that a pull will be cold.
///
/// # Errors
/// When the node does not run.
pub fn held_by(node: &KindNode, image: &Image) -> Result<Vec<String>> {
    let text = node.run(&[&CTR[..], &["content", "ls", "--quiet"]].concat())?;
    Ok(held(&text, image.blobs().chain([&image.manifest]).map(|blob| blob.digest().to_string()).collect()))
}

fn held(content: &str, digests: BTreeSet<String>) -> Vec<String> {
    let content: BTreeSet<&str> = content.split_whitespace().collect();
    digests.into_iter().filter(|digest| content.contains(digest.as_str())).collect()
}

/// Programs of a node with the libraries that they need, as files of an image: the node's Debian has them in any case, and
/// so an image needs none of anybody's.
///
/// # Errors
/// When a program is not there.
pub fn program_files(node: &KindNode, programs: &[&str], directory: &Path) -> Result<Vec<File>> {
    let listed = node.run(&[&["ldd"][..], programs].concat())?;
    let paths: BTreeSet<&str> = libraries(&listed).chain(programs.iter().copied()).collect();
    let file = |(number, path): (usize, &str)| {
        let copy = directory.join(format!("file-{number}"));
        node.get(path, &copy)?;
        Ok(File { path: PathBuf::from(path.trim_start_matches('/')), source: Source::Program(copy) })
    };
    paths.into_iter().enumerate().map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_holds_of_an_image_is_told_by_digest() {
        let digests = ["sha256:a", "sha256:b"].map(str::to_owned).into();
        assert_eq!(held("sha256:c\nsha256:b\nsha256:bb\n", digests), ["sha256:b"]);
    }

    #[test]
    fn a_mirror_is_asked_before_the_registry() {
        let (registry, mirror) = (SocketAddr::from(([10, 0, 0, 1], 5000)), SocketAddr::from(([10, 0, 0, 2], 30020)));
        assert_eq!(hosts(registry, None), "server = 'http://10.0.0.1:5000'\n");
        let both = hosts(registry, Some(mirror));
        assert!(both.starts_with("server = 'http://10.0.0.1:5000'\n\n[host.'http://10.0.0.2:30020']\n"), "{both}");
    }

    #[test]
    fn an_image_goes_with_all_of_its_names_and_no_other() {
        let table = "REF TYPE DIGEST SIZE PLATFORMS LABELS\n\
            origin.test/a:1 application/x sha256:1 96.6 MiB linux/amd64 -\n\
            origin.test/a@sha256:1 application/x sha256:1 96.6 MiB linux/amd64 -\n\
            registry.test/pause:3 application/x sha256:9 1 MiB linux/amd64 -\n\
            sha256:c application/x sha256:1 96.6 MiB linux/amd64 -\n";
        assert_eq!(names(table), ["origin.test/a:1", "origin.test/a@sha256:1", "sha256:c"]);
    }
}
