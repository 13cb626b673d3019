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
    let text = pem("CERTIFICATE", made.cert.der());
    let shell = Shell::real();
    shell.make_dir(&directory)?;
    shell.write(&certificate, text.as_bytes())?;
    shell.write(&key, pem("PRIVATE KEY", made.signing_key.serialized_der()).as_bytes())?;
    Ok(Certificate { certificate, key, bundle: STANDARD.encode(text) })
}

/// PEM of RFC 7468: base64 in lines of 64.
fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let lines: Vec<&str> = body.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_written_in_lines_that_every_reader_takes() {
        let text = pem("X", &[0; 100]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[lines.len() - 1]), ("-----BEGIN X-----", "-----END X-----"));
        assert!(lines.iter().all(|line| line.len() <= 64));
    }
}
