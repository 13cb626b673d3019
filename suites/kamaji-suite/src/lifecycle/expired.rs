//! A certificate whose time is over, with the key and the authority of one that is in use.

use harness::Error;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use crate::pkcs8;

/// What kubeadm calls the authority of a cluster.
const AUTHORITY: &str = "kubernetes";
/// What it calls the apiserver.
const APISERVER: &str = "kube-apiserver";

/// An apiserver's certificate for `key`, signed by `authority`, that ended with the year 2019 and is valid in all other
/// respects. Both keys are PKCS#1 in PEM, as the operator keeps them.
///
/// # Errors
/// When a key cannot be read.
pub(super) fn certificate(key: &[u8], authority: &[u8]) -> Result<String, Error> {
    let made = || {
        let authority = Issuer::new(named(AUTHORITY), pair(authority)?);
        let mut params = named(APISERVER);
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.signed_by(&pair(key)?, &authority).map_err(|error| error.to_string())
    };
    let failed = |why: String| Error::Environment(format!("cannot make a certificate that has expired: {why}"));
    made().map(|certificate| certificate.pem()).map_err(failed)
}

fn pair(pkcs1: &[u8]) -> Result<KeyPair, String> {
    let pem = pkcs8::of_pkcs1(pkcs1).map_err(|why| format!("the key {why}"))?;
    KeyPair::from_pem(&pem).map_err(|error| error.to_string())
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
