//! The images that a kind cluster needs, and foremost that of its nodes: the published one where it can be pulled; otherwise a Debian root, the pinned programs
//! of Kubernetes and containerd, and the images of the control plane made of the same programs.
//!
//! What is built is known by what goes into it, so a second call finds it in Docker and costs nothing.

mod content;
mod docker;
mod error;
mod ingredients;
mod published;
mod registry;
mod root;
mod runner;

use std::path::Path;

use cluster::Shell;
use thirdparty::Progress;

pub use crate::error::{Error, Result};
pub use crate::ingredients::{Ingredients, PROGRAMS};
pub use crate::published::{PUBLISHED, pull};
pub use crate::registry::{REGISTRY_IMAGE, REGISTRY_PORT, registry_image};
pub use crate::runner::{RUNNER_IMAGE, RUNNER_REPOSITORY, RunnerImage, runner_image};

/// Whether Docker has an image.
pub fn is_there(image: &str) -> bool {
    Shell::real().run(Path::new("docker"), &["image", "inspect", "--format", "{{.Id}}", image], &[]).is_ok()
}

/// The image of these ingredients as Docker knows it, built now when it is not there. `kubernetes` is the directory of its
/// Go module, which has the pause container's source; roots of Debian are kept in `cache`.
///
/// # Errors
/// When a program fails: `debootstrap` (which has to be root), `cc`, `tar`, containerd or Docker.
pub fn build(ingredients: &Ingredients, kubernetes: &Path, cache: &Path, progress: &dyn Progress) -> Result<String> {
    let shell = Shell::real();
    let tag = ingredients.tag()?;
    if is_there(&tag) {
        return Ok(tag);
    }
    progress.start("node image", "Debian's packages and the pinned programs");
    let built = assemble(ingredients, kubernetes, cache, &tag, &shell, progress);
    match &built {
        Ok(()) => progress.done(&format!("node image: {tag}")),
        Err(_) => progress.done("node image: it could not be built"),
    }
    built.map(|()| tag)
}

fn assemble(
    ingredients: &Ingredients,
    kubernetes: &Path,
    cache: &Path,
    tag: &str,
    shell: &Shell,
    progress: &dyn Progress,
) -> Result<()> {
    let debian = root::debian(ingredients, cache, shell, progress)?;
    let work = tempfile::Builder::new().prefix(".node-image-").tempdir_in(cache).map_err(Error::io("make", cache))?;
    let root = work.path().join("root");
    progress.tick("putting the node's root together", None);
    let images = content::names(ingredients, shell)?;
    root::assemble(ingredients, &debian, &root, &images, shell)?;
    progress.tick("making the images of the control plane", None);
    let content = content::Content { ingredients, kubernetes, debian: &debian, work: work.path(), shell };
    content.fill(&root, &images)?;
    progress.tick("handing it to Docker", None);
    docker::load(&root, tag, work.path(), shell)
}
