//! The certificate of the controller's webhooks: self-signed, so that it is its own authority.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::Shell;
use harness::Error;

/// A certificate and where it lies.
#[derive(Clone, Debug)]
pub(super) struct Certificate {
    /// The certificate's file.
    pub(super) certificate: PathBuf,
    /// The key's file.
    pub(super) key: PathBuf,
    /// `caBundle` of a webhook: the certificate's PEM in base64.
    pub(super) bundle: String,
}

/// Makes one for loopback. The controller wants the files to have these names, in one directory.
pub(super) fn self_signed(directory: &Path) -> Result<Certificate, Error> {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let made = rcgen::generate_simple_self_signed(names);
    let made = made.map_err(|error| Error::Environment(format!("cannot make a certificate: {error}")))?;
    let directory = directory.join("tls");
    let (certificate, key) = (directory.join("tls.crt"), directory.join("tls.key"));
    let text = made.cert.pem();
    let shell = Shell::real();
    shell.make_dir(&directory)?;
    shell.write(&certificate, text.as_bytes())?;
    shell.write(&key, made.signing_key.serialize_pem().as_bytes())?;
    Ok(Certificate { certificate, key, bundle: STANDARD.encode(text) })
}
