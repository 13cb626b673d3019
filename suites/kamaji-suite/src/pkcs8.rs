//! RSA keys in the form that most tools read, of the form that kubeadm writes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What PKCS#8 says before the key itself: version 0, and an RSA key without parameters (RFC 5208, RFC 8017).
const RSA: &[u8] =
    &[0x02, 0x01, 0x00, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// `BEGIN PRIVATE KEY` of `BEGIN RSA PRIVATE KEY`.
///
/// # Errors
/// When it is no PEM, in words that follow its name.
pub(crate) fn of_pkcs1(pem: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(pem);
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let key = STANDARD.decode(body).map_err(|error| format!("is no PEM: {error}"))?;
    let body = STANDARD.encode(der(0x30, &[RSA, &der(0x04, &key)].concat()));
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"))
}

/// A value in DER, with a length of two bytes: keys are longer than 127 bytes and shorter than 64 KiB.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    [&[tag, 0x82, length[0], length[1]], value].concat()
}
