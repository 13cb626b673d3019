//! The projects' own builds: which file on which host, and which sha256 it must have.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use fs_err as fs;

use crate::digest::{self, Hashed};
use crate::environment::Environment;
use crate::http::{Client, HttpError};
use crate::limits::Limits;
use crate::pins::{Pin, ReleasePin};
use crate::platform::Platform;
use crate::progress::Progress;

/// Replaces scheme and host of every release URL, or turns releases off.
const BASE: &str = "KUBEDYNO_RELEASE_BASE";

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReleaseError {
    #[error("{BASE}=off")]
    Off,
    #[error("{BASE}={0} is neither an http(s) URL nor `off`")]
    BadBase(String),
    #[error("there is none for {0}")]
    NotPublished(String),
    #[error("the project publishes no checksum and pins.toml has none, and nothing unverified is used")]
    NoChecksum,
    #[error("{url} has no sha256 of {file}")]
    NotListed { url: String, file: String },
    #[error("the sha256 of {url} is {got}, and {by} says {want}")]
    Mismatch { url: String, got: String, by: String, want: String },
    #[error("{url} has no {member} in it")]
    NoMember { url: String, member: String },
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error("the download cannot be kept")]
    Io(#[from] io::Error),
}

impl ReleaseError {
    pub(crate) fn fix(&self) -> Option<String> {
        match self {
            Self::Off => Some(format!("unset {BASE}")),
            Self::BadBase(_) => Some(format!("correct {BASE}")),
            Self::Http(error) if error.is_unreachable() => Some(format!("name a mirror in {BASE}")),
            _ => None,
        }
    }
}

/// The releases, by way of the user's mirror if there is one.
#[derive(Debug)]
pub(crate) struct Releases {
    client: Client,
    base: Base,
    /// Verified archives: three programs come out of one, and it is downloaded once.
    archives: PathBuf,
}

#[derive(Debug)]
enum Base {
    Official,
    Mirror(String),
    Off,
    Bad(String),
}

/// Where a file is and what its sha256 must be.
struct Expected {
    url: String,
    sha256: String,
    /// Who says so.
    by: String,
}

impl Releases {
    pub(crate) fn new(cache: &Path, environment: &Environment, limits: Limits) -> Self {
        Self {
            client: Client::new(environment, limits),
            base: Base::new(environment.get(BASE)),
            archives: cache.join("downloads"),
        }
    }

    /// Downloads a program into `work` and returns where it is. It has been verified.
    pub(crate) fn get(
        &self,
        pin: &Pin,
        release: &ReleasePin,
        platform: Platform,
        work: &Path,
        progress: &dyn Progress,
    ) -> Result<PathBuf, ReleaseError> {
        let url = self.url(&platform.fill(&release.url))?;
        progress.start(&pin.to_string(), &url);
        let expected = self.expected(release, platform, url)?;
        let out = work.join(&pin.name);
        let Some(member) = &release.member else {
            self.download(&expected, &out, progress)?;
            return Ok(out);
        };

        let member = platform.fill(member);
        let archive = self.archives.join(file_name(&expected.url));
        // Another program may have brought it. That it is verified again costs little, and no trust.
        if !digest::of_file(&archive).is_ok_and(|sha256| sha256 == expected.sha256) {
            let downloaded = work.join("archive");
            self.download(&expected, &downloaded, progress)?;
            fs::create_dir_all(&self.archives)?;
            fs::rename(downloaded, &archive)?;
        }
        if !unpack(&archive, Path::new(&member), &out)? {
            return Err(ReleaseError::NoMember { url: expected.url, member });
        }
        Ok(out)
    }

    fn expected(&self, release: &ReleasePin, platform: Platform, url: String) -> Result<Expected, ReleaseError> {
        let name = platform.to_string();
        if !release.platforms.contains(&name) {
            return Err(ReleaseError::NotPublished(name));
        }
        if let Some(sha256) = release.sha256.get(&name) {
            return Ok(Expected { url, sha256: sha256.to_lowercase(), by: "pins.toml".to_owned() });
        }
        let checksums = release.checksums.as_deref().ok_or(ReleaseError::NoChecksum)?;
        let by = self.url(&platform.fill(checksums))?;
        let listed = listed(&self.client.text(&by)?, file_name(&url));
        match listed {
            Some(sha256) => Ok(Expected { url, sha256, by }),
            None => Err(ReleaseError::NotListed { file: file_name(&url).to_owned(), url: by }),
        }
    }

    fn download(&self, expected: &Expected, to: &Path, progress: &dyn Progress) -> Result<(), ReleaseError> {
        let mut file = Hashed::new(fs::File::create(to)?);
        self.client.download(&expected.url, &mut file, progress)?;
        file.flush()?;
        let Expected { url, sha256: want, by } = expected;
        let got = file.hex();
        if got == *want {
            return Ok(());
        }
        Err(ReleaseError::Mismatch { url: url.clone(), got, by: by.clone(), want: want.clone() })
    }

    fn url(&self, official: &str) -> Result<String, ReleaseError> {
        match &self.base {
            Base::Official => Ok(official.to_owned()),
            Base::Mirror(base) => {
                let path = official.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
                Ok(format!("{base}/{}", path.map_or("", |(_, path)| path)))
            }
            Base::Off => Err(ReleaseError::Off),
            Base::Bad(text) => Err(ReleaseError::BadBase(text.clone())),
        }
    }
}

impl Base {
    fn new(value: Option<&OsStr>) -> Self {
        let Some(value) = value else { return Self::Official };
        let text = value.to_string_lossy().into_owned();
        if text == "off" {
            Self::Off
        } else if ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme)) {
            Self::Mirror(text.trim_end_matches('/').to_owned())
        } else {
            Self::Bad(text)
        }
    }
}

/// The sha256 of a file in a text that is either just that, or has a line of `digest  file name`.
fn listed(checksums: &str, file: &str) -> Option<String> {
    let is_sha256 = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let sha256 = match checksums.split_whitespace().collect::<Vec<_>>().as_slice() {
        [alone] => Some(*alone),
        _ => checksums.lines().find_map(|line| {
            let (sha256, name) = line.trim().split_once(char::is_whitespace)?;
            // A `*` before the name is how sha256sum marks that it read the file as binary.
            (name.trim_start().trim_start_matches('*') == file).then_some(sha256)
        }),
    };
    sha256.filter(is_sha256).map(str::to_lowercase)
}

/// Takes one file out of a `.tar.gz`. Whether it was in there.
fn unpack(archive: &Path, member: &Path, to: &Path) -> io::Result<bool> {
    let mut tar = tar::Archive::new(GzDecoder::new(fs::File::open(archive)?));
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() && entry.path()? == member {
            io::copy(&mut entry, &mut fs::File::create(to)?)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn file_name(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const A: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const B: &str = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AE";

    #[rstest]
    #[case::bare(A.to_owned(), true)]
    #[case::bare_with_newline(format!("{A}\n"), true)]
    #[case::list(format!("{B}  other.tar.gz\n{A}  etcd.tar.gz\n"), true)]
    #[case::binary_mark(format!("{B} *other.tar.gz\n{A} *etcd.tar.gz\n"), true)]
    #[case::another_file(format!("{A}  etcd.tar.gz.asc\n"), false)]
    #[case::not_a_digest("404 not found".to_owned(), false)]
    #[case::too_short(A[1..].to_owned(), false)]
    #[case::empty(String::new(), false)]
    fn a_digest_is_found_in_a_list(#[case] text: String, #[case] found: bool) {
        assert_eq!(listed(&text, "etcd.tar.gz").as_deref(), found.then_some(A));
    }

    #[rstest]
    #[case::unset(None, Ok("https://dl.k8s.io/v1/bin/etcd"))]
    #[case::empty_path(Some("http://mirror:8080/"), Ok("http://mirror:8080/v1/bin/etcd"))]
    #[case::with_path(Some("https://mirror/k8s"), Ok("https://mirror/k8s/v1/bin/etcd"))]
    #[case::off(Some("off"), Err("KUBEDYNO_RELEASE_BASE=off"))]
    #[case::no_url(Some("mirror"), Err("KUBEDYNO_RELEASE_BASE=mirror is neither an http(s) URL nor `off`"))]
    fn a_base_replaces_scheme_and_host(#[case] base: Option<&str>, #[case] expected: Result<&str, &str>) {
        let environment = base.map(|base| (BASE, base)).into_iter().collect();
        let releases = Releases::new(Path::new("/cache"), &environment, Limits::default());
        let url = releases.url("https://dl.k8s.io/v1/bin/etcd").map_err(|error| error.to_string());
        assert_eq!(url.as_deref().map_err(String::as_str), expected);
    }
}
