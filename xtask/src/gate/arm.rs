//! What an arm is: a build of one component or a revision of this repository, and perhaps a slowdown that the gate is
//! meant to see.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cluster::Slowdown;

use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// An arm as the command line names it.
#[derive(Clone, Debug)]
pub(crate) struct ArmSpec {
    text: String,
    /// The builds that its cluster runs instead of the pinned ones, by the variable that names each.
    pub(crate) builds: BTreeMap<String, PathBuf>,
    /// What slows its cluster down.
    pub(crate) slowdown: Option<Slowdown>,
    /// The checkout whose rows run, where it is not this one.
    pub(crate) checkout: Option<Checkout>,
}

/// A revision of this repository, checked out beside this one.
#[derive(Clone, Debug)]
pub(crate) struct Checkout {
    root: PathBuf,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// The component that is this repository itself: builds of it are revisions.
pub(crate) const OURSELVES: &str = "kubedyno";

impl fmt::Display for ArmSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl ArmSpec {
    /// Reads `BUILD` or `BUILD+SLOWDOWN`, where `BUILD` is `pinned`, the path of a program, or a version such as
    /// `v1.36.2`, which is got now.
    pub(crate) fn read(ctx: &Ctx, component: &str, text: &str) -> Result<Self, Failure> {
        let (build, slowdown) = match text.rsplit_once('+') {
            Some((build, slowdown)) => {
                let slowdown = slowdown.parse().map_err(|error: cluster::Error| Failure::usage(error.to_string()))?;
                (build, Some(slowdown))
            }
            None => (text, None),
        };
        if component == OURSELVES {
            let checkout = Checkout::of(ctx, build)?;
            return Ok(Self { text: text.to_owned(), builds: BTreeMap::new(), slowdown, checkout: Some(checkout) });
        }
        let thirdparty = ctx.thirdparty();
        let variable = thirdparty.variable(component)?;
        if nodeimage::PROGRAMS.contains(&component) && !cluster::PROGRAMS.contains(&component) {
            let message = format!("`{component}` runs on the nodes of kind clusters, and gates run on kwok clusters");
            return Err(Failure::usage(message));
        }
        let path = PathBuf::from(build);
        let mut text = text.to_owned();
        let builds = if build == "pinned" {
            // The environment stands before the pins, in a gate as everywhere.
            let given = std::env::var_os(&variable).filter(|path| !path.is_empty());
            if let Some(path) = given {
                text = pinned_by(&text, &variable, Path::new(&path));
                say(&format!("an arm is {text}"));
            }
            BTreeMap::new()
        } else if path.components().count() > 1 || path.is_file() {
            let path = std::path::absolute(&path).unwrap_or(path);
            if !path.is_file() {
                return Err(Failure::usage(format!("{}: there is no such program", path.display())));
            }
            BTreeMap::from([(variable, path)])
        } else if build.starts_with('v') {
            BTreeMap::from([(variable, thirdparty.ensure_version(component, build)?.path)])
        } else {
            let message = format!("`{build}` is no build: write `pinned`, a path, or a version such as v1.36.2");
            return Err(Failure::usage(message));
        };
        Ok(Self { text, builds, slowdown, checkout: None })
    }
}

/// What `pinned` is where a variable names another program: who reads the gate's result has to see it.
fn pinned_by(text: &str, variable: &str, path: &Path) -> String {
    format!("{text}, which {variable} makes {}", path.display())
}

impl Checkout {
    fn of(ctx: &Ctx, revision: &str) -> Result<Self, Failure> {
        let commit = git(&ctx.root, &["rev-parse", "--verify", "--end-of-options", &format!("{revision}^{{commit}}")])
            .map_err(|error| Failure::usage(format!("`{revision}` is no revision of this repository: {error}")))?;
        let path = ctx.cache.join("checkouts").join(&commit);
        // What a killed gate left is taken over: git knows whether it is whole.
        git(&ctx.root, &["worktree", "prune"]).map_err(Failure::environment)?;
        if !path.join(".git").exists() {
            let path = path.display().to_string();
            git(&ctx.root, &["worktree", "add", "--force", "--detach", &path, &commit])
                .map_err(Failure::environment)?;
        }
        Ok(Self { root: ctx.root.clone(), path })
    }

    /// Removes the checkout with what was built in it.
    pub(crate) fn remove(&self) {
        git(&self.root, &["worktree", "remove", "--force", &self.path.display().to_string()]).ok();
    }
}

fn git(root: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git").args(args).current_dir(root).output();
    let output = output.map_err(|error| format!("cannot start git: {error}"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}
