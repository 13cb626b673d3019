//! What goes into a node image, and the name that follows from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use thirdparty::Program;

use crate::error::{Error, Result};

/// The programs of a node and of its control plane, by their names in `thirdparty`.
pub const PROGRAMS: [&str; 11] = [
    "containerd",
    "containerd-shim-runc-v2",
    "ctr",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "node-kubeadm",
];

/// What goes into a node image.
#[derive(Clone, Debug)]
pub struct Ingredients {
    /// The programs, all of [`PROGRAMS`].
    programs: BTreeMap<String, Program>,
    fixtures: PathBuf,
}

/// How it is put together: with other code it may be another image.
const RECIPE: [&str; 4] =
    [include_str!("lib.rs"), include_str!("root.rs"), include_str!("content.rs"), include_str!("docker.rs")];

impl Ingredients {
    /// These programs, and the packages and files in `fixtures` (`fixtures/node-image`).
    pub fn new(programs: BTreeMap<String, Program>, fixtures: &Path) -> Self {
        Self { programs, fixtures: fixtures.to_owned() }
    }

    /// The path of a program.
    pub(crate) fn program(&self, name: &str) -> Result<&Path> {
        let program = self.programs.get(name).map(|program| program.path.as_path());
        program.ok_or_else(|| Error::Failed(format!("a node image needs {name}")))
    }

    /// The version of Kubernetes.
    pub(crate) fn version(&self) -> &str {
        self.programs.get("kubelet").map_or("", |program| &program.pinned_version)
    }

    /// Debian's packages.
    pub(crate) fn packages(&self) -> Result<Vec<String>> {
        let path = self.fixtures.join("packages.txt");
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        Ok(text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect())
    }

    /// The files over the root, by their paths in it.
    pub(crate) fn files(&self) -> Result<BTreeMap<PathBuf, PathBuf>> {
        let mut files = BTreeMap::new();
        let base = self.fixtures.join("root");
        let mut directories = vec![base.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).map_err(Error::io("read", &directory))? {
                let path = entry.map_err(Error::io("read", &directory))?.path();
                match path.is_dir() {
                    true => directories.push(path),
                    false => {
                        let inside = path.strip_prefix(&base).unwrap_or(&path).to_owned();
                        files.insert(inside, path);
                    }
                }
            }
        }
        Ok(files)
    }

    /// The name of the image, which follows from all that goes into it.
    ///
    /// # Errors
    /// When a file of `fixtures` cannot be read.
    pub fn tag(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        RECIPE.iter().for_each(|code| part(code.as_bytes()));
        self.packages()?.iter().for_each(|package| part(package.as_bytes()));
        for (inside, path) in self.files()? {
            part(inside.display().to_string().as_bytes());
            part(&fs::read(&path).map_err(Error::io("read", &path))?);
        }
        self.programs.values().for_each(|program| part(program.sha256.as_bytes()));
        let key: String = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("localhost/kubedyno-node:{}-{key}", self.version()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingredients(directory: &Path) -> Ingredients {
        let program = |name: &&str| {
            let program = Program {
                name: (*name).to_owned(),
                version: String::new(),
                pinned_version: "v1.2.3".to_owned(),
                path: directory.join(name),
                source: thirdparty::Source::Cache,
                origin: None,
                passed_over: Vec::new(),
                sha256: format!("digest of {name}"),
                deviates: false,
            };
            ((*name).to_owned(), program)
        };
        let fixtures = directory.join("node-image");
        fs::create_dir_all(fixtures.join("root/etc/a")).unwrap();
        fs::write(fixtures.join("packages.txt"), "# why\nsystemd\n\n  runc\n").unwrap();
        fs::write(fixtures.join("root/etc/a/b.conf"), "x").unwrap();
        Ingredients::new(PROGRAMS.iter().map(program).collect(), &fixtures)
    }

    #[test]
    fn packages_are_read_without_comments_and_files_by_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let ingredients = ingredients(dir.path());
        assert_eq!(ingredients.packages().unwrap(), ["systemd", "runc"]);
        assert_eq!(ingredients.files().unwrap().keys().collect::<Vec<_>>(), [Path::new("etc/a/b.conf")]);
    }

    #[test]
    fn an_image_is_another_when_anything_in_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut ingredients = ingredients(dir.path());
        let tag = ingredients.tag().unwrap();
        assert!(tag.starts_with("localhost/kubedyno-node:v1.2.3-"), "{tag}");
        assert_eq!(ingredients.tag().unwrap(), tag);
        let mut tags = vec![tag];
        ingredients.programs.get_mut("ctr").unwrap().sha256 = "another".to_owned();
        tags.push(ingredients.tag().unwrap());
        fs::write(ingredients.fixtures.join("root/etc/a/b.conf"), "y").unwrap();
        tags.push(ingredients.tag().unwrap());
        fs::write(ingredients.fixtures.join("packages.txt"), "systemd").unwrap();
        tags.push(ingredients.tag().unwrap());
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "{tags:?}");
    }
}
