//! The platform that programs are got for: always the one that this runs on.

use std::env::consts;
use std::fmt;

/// An operating system and an architecture, as Go spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    os: &'static str,
    arch: &'static str,
}

impl Platform {
    pub(crate) fn host() -> Self {
        let arch = match consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { os: consts::OS, arch }
    }

    /// Fills in a template of `pins.toml`.
    pub(crate) fn fill(self, template: &str) -> String {
        template.replace("{os}", self.os).replace("{arch}", self.arch)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.os, self.arch)
    }
}
