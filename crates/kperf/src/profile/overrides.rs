//! Flags that replace what a profile says.

use apiload::Content;

use super::check::{Check as _, Wrong};
use super::{Form, LoadProfile};

/// Values of flags that replace those of the only phase of a profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overrides {
    /// `--rate`.
    pub rate: Option<f64>,
    /// `--total`.
    pub total: Option<u64>,
    /// `--duration`.
    pub duration: Option<u64>,
    /// `--conns`.
    pub conns: Option<usize>,
    /// `--client`.
    pub client: Option<usize>,
    /// `--content-type`.
    pub content_type: Option<Content>,
    /// `--disable-http2`.
    pub disable_http2: bool,
    /// `--max-retries`.
    pub max_retries: Option<i64>,
}

/// Why flags cannot replace what a profile says.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OverrideError {
    /// Which phase would be meant is not clear.
    #[error(
        "flags cannot override a profile with {0} specs: change the profile, or leave --rate, --total and the like out"
    )]
    SeveralSpecs(usize),
    /// A value that no profile may have.
    #[error("--{flag} {message}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What is wrong with it.
        message: String,
    },
}

impl LoadProfile {
    /// The profile with the values of flags in it.
    ///
    /// # Errors
    /// When it has several phases, or a value is one that no profile may have.
    pub fn with(mut self, flags: &Overrides) -> Result<Self, OverrideError> {
        if *flags == Overrides::default() {
            return Ok(self);
        }
        if self.form() == Form::Specs && self.specs().len() > 1 {
            return Err(OverrideError::SeveralSpecs(self.specs().len()));
        }
        let Some(spec) = self.first_mut() else { return Ok(self) };
        spec.rate = flags.rate.unwrap_or(spec.rate);
        spec.total = flags.total.unwrap_or(spec.total);
        spec.duration = flags.duration.unwrap_or(spec.duration);
        spec.conns = flags.conns.or(spec.conns);
        spec.client = flags.client.or(spec.client);
        spec.content_type = flags.content_type.or(spec.content_type);
        spec.disable_http2 |= flags.disable_http2;
        spec.max_retries = flags.max_retries.unwrap_or(spec.max_retries);
        // The rest was checked when it was read, so it is a flag that is wrong.
        spec.check().map(|()| self).map_err(|Wrong { path, message }| {
            let field = path.first().map(ToString::to_string).unwrap_or_default();
            let flag = ["rate", "conns", "client"].into_iter().find(|flag| *flag == field).unwrap_or("config");
            OverrideError::Value { flag, message }
        })
    }
}
