//! Pushing to a registry over the distribution HTTP API.

use std::io;

use fs_err as fs;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{Response, StatusCode};
use oci_spec::image::Descriptor;
use ureq::{Agent, Body};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::layout::Layout;

/// Characters of an answer that are quoted.
const QUOTED: usize = 300;

/// What a push came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Blobs that were uploaded.
    pub blobs: usize,
    /// Bytes of those blobs and of the manifest.
    pub bytes: u64,
    /// Blobs that the registry had.
    pub present: usize,
}

/// Pushes an image to the registry at `url` (`http://127.0.0.1:5001`), which need not be what the image's name says: nodes
/// may know a registry by another name than this machine does. What the registry has is not sent again.
/// Blocks its thread.
///
/// # Errors
/// When the registry cannot be reached or refuses.
pub fn push(layout: &Layout, image: &Image, url: &str) -> Result<Pushed> {
    let config = Agent::config_builder().http_status_as_error(false).build();
    let target = Target { agent: config.into(), base: format!("{url}/v2/{}", image.reference.repository()) };
    let mut pushed = Pushed::default();
    for blob in image.blobs() {
        if target.has(blob)? {
            pushed.present += 1;
        } else {
            target.upload(layout, blob, url)?;
            pushed.blobs += 1;
            pushed.bytes += blob.size();
        }
    }
    target.name(layout, image)?;
    pushed.bytes += image.manifest.size();
    Ok(pushed)
}

/// A repository of a registry.
struct Target {
    agent: Agent,
    base: String,
}

impl Target {
    fn has(&self, blob: &Descriptor) -> Result<bool> {
        let doing = format!("ask {} for {}", self.base, blob.digest());
        let answer = answer(&doing, self.agent.head(format!("{}/blobs/{}", self.base, blob.digest())).call())?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused(doing, answer)),
        }
    }

    /// One upload in one piece.
    fn upload(&self, layout: &Layout, blob: &Descriptor, url: &str) -> Result<()> {
        let doing = format!("push {} to {}", blob.digest(), self.base);
        let session = answer(&doing, self.agent.post(format!("{}/blobs/uploads/", self.base)).send_empty())?;
        if session.status() != StatusCode::ACCEPTED {
            return Err(refused(doing, session));
        }
        let location = session.headers().get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or_default();
        let whole = if location.starts_with('/') { format!("{url}{location}") } else { location.to_owned() };
        let separator = if whole.contains('?') { '&' } else { '?' };
        let whole = format!("{whole}{separator}digest={}", blob.digest());
        let file = open(layout, blob)?;
        let request = self.agent.put(whole).header(CONTENT_TYPE, "application/octet-stream");
        created(doing.clone(), answer(&doing, request.send(file))?)
    }

    /// The manifest under its tag, or under its digest when the name has no tag.
    fn name(&self, layout: &Layout, image: &Image) -> Result<()> {
        let digest = image.manifest.digest().to_string();
        let name = image.reference.tag().filter(|_| image.reference.digest().is_none()).unwrap_or(&digest);
        let doing = format!("push the manifest of {} to {}", image.reference, self.base);
        let request = self.agent.put(format!("{}/manifests/{name}", self.base));
        let request = request.header(CONTENT_TYPE, image.manifest.media_type().as_ref());
        created(doing.clone(), answer(&doing, request.send(open(layout, &image.manifest)?))?)
    }
}

fn open(layout: &Layout, blob: &Descriptor) -> Result<std::fs::File> {
    let file = fs::File::open(layout.blob(blob.digest())).map_err(Error::io("push an image"))?;
    Ok(file.into_parts().0)
}

fn answer(doing: &str, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>> {
    answer.map_err(|source| Error::Unreachable { doing: doing.to_owned(), source: source.into() })
}

fn created(doing: String, answer: Response<Body>) -> Result<()> {
    if answer.status() == StatusCode::CREATED { Ok(()) } else { Err(refused(doing, answer)) }
}

fn refused(doing: String, mut answer: Response<Body>) -> Error {
    let status = answer.status().as_u16();
    let said = io::read_to_string(answer.body_mut().as_reader()).unwrap_or_default();
    Error::Refused { doing, status, said: said.trim().chars().take(QUOTED).collect() }
}
