//! The image of the registry that nodes pull from, made of the pinned program: it runs beside the nodes, as a container too.

use std::path::Path;

use cluster::Shell;
use fs_err as fs;
use images::{File, Layout, Reference, Source, Spec, registry_settings};
use sha2::{Digest as _, Sha256};
use thirdparty::Program;

use crate::docker::load_archive;
use crate::error::{Error, Result};
use crate::is_there;

/// Variable with the registry's image, which a setup script has brought into Docker.
pub const REGISTRY_IMAGE: &str = "KUBEDYNO_REGISTRY_IMAGE";

/// The port that the registry listens on, in its container.
pub const REGISTRY_PORT: u16 = 5000;

const REPOSITORY: &str = "localhost/kubedyno-registry";

/// The image as Docker knows it, made now when it is not there.
///
/// # Errors
/// When it cannot be made, or Docker does not take it.
pub fn registry_image(program: &Program) -> Result<String> {
    let settings = registry_settings(Path::new("/content"), &format!("0.0.0.0:{REGISTRY_PORT}")).to_string();
    let content = Sha256::digest([program.sha256.as_bytes(), settings.as_bytes()].concat());
    let content: String = content.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("{REPOSITORY}:{}-{content}", program.pinned_version);
    if is_there(&tag) {
        return Ok(tag);
    }
    let work = tempfile::tempdir().map_err(Error::io("make", &std::env::temp_dir()))?;
    let files = vec![
        File { path: "registry".into(), source: Source::Program(program.path.clone()) },
        File { path: "registry.yaml".into(), source: Source::Content(settings.into_bytes()) },
    ];
    let layout = Layout::open(work.path().join("layout"))?;
    let reference =
        tag.parse::<Reference>().map_err(|error| Error::Failed(format!("{tag} is no image's name: {error}")))?;
    let spec = Spec::of_sizes(0, &[]).over(files, &["/registry", "serve", "/registry.yaml"]);
    let image = layout.add(&reference, &spec)?;
    let archive = work.path().join("registry.tar");
    images::archive(&layout, &[image], fs::File::create(&archive).map_err(Error::io("write", &archive))?)?;
    load_archive(&archive, &Shell::real())?;
    Ok(tag)
}
