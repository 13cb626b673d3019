//! What a profile that can be read must not say.

use apiload::PlanError;

use super::tree::Step;
use super::{KINDS, LoadProfile, Spec};

/// A file whose values can be checked after it was read.
pub(crate) trait Check {
    /// Finds what is wrong with the values.
    ///
    /// # Errors
    /// The first of them.
    fn check(&self) -> Result<(), Wrong>;
}

/// What is wrong with a value, and where that value is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Wrong {
    /// The way to it.
    pub(crate) path: Vec<Step>,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl Wrong {
    /// Of a value below `keys`.
    pub(crate) fn new(keys: &[&str], message: impl Into<String>) -> Self {
        Self { path: keys.iter().map(|key| Step::Key((*key).to_owned())).collect(), message: message.into() }
    }

    /// The same seen from further out.
    #[must_use]
    pub(crate) fn below(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.path = steps.into_iter().chain(self.path).collect();
        self
    }
}

impl Check for LoadProfile {
    fn check(&self) -> Result<(), Wrong> {
        if self.version != 1 {
            return Err(Wrong::new(&["version"], format!("{} is not known: only 1 is", self.version)));
        }
        match (&self.spec, &self.specs) {
            (Some(_), Some(_)) => {
                let message = "stands beside `spec`: a profile has one `spec` (up to kperf v0.3.4) or a list of `specs` \
                               (from v0.3.5 on), so leave one of them out";
                Err(Wrong::new(&["specs"], message))
            }
            (None, None) => Err(Wrong::new(&[], "neither `spec` nor `specs`: say what is to be sent")),
            (None, Some(specs)) if specs.is_empty() => Err(Wrong::new(&["specs"], "is empty: give at least one")),
            (Some(spec), None) => spec.check().map_err(|wrong| wrong.below([Step::Key("spec".to_owned())])),
            (None, Some(specs)) => specs.iter().enumerate().try_for_each(|(index, spec)| {
                spec.check().map_err(|wrong| wrong.below([Step::Key("specs".to_owned()), Step::Item(index)]))
            }),
        }
    }
}

impl Check for Spec {
    fn check(&self) -> Result<(), Wrong> {
        if !self.rate.is_finite() || self.rate < 0.0 {
            let message = format!("{} is no rate: give 0 (as fast as it goes) or more", self.rate);
            return Err(Wrong::new(&["rate"], message));
        }
        for (field, count) in [("conns", self.conns), ("client", self.client)] {
            if count == Some(0) {
                return Err(Wrong::new(&[field], "is 0: give at least 1, or leave it out"));
            }
        }
        if self.requests.is_empty() {
            return Err(Wrong::new(&["requests"], "is empty: give at least one request"));
        }
        let below = |entry| [Step::Key("requests".to_owned()), Step::Item(entry)];
        for (entry, weighted) in self.requests.iter().enumerate() {
            let named = weighted.named();
            let [request] = &named[..] else {
                let kinds: Vec<&str> = named.iter().map(apiload::Request::kind).collect();
                let found = if kinds.is_empty() { "no kind".to_owned() } else { kinds.join(" and ") };
                let message = format!("names {found}: name exactly one of {}", KINDS.join(", "));
                return Err(Wrong::new(&[], message).below(below(entry)));
            };
            if let Err(PlanError::Request { kind, field, problem, .. }) = request.check(entry) {
                return Err(Wrong::new(&[kind, field], problem).below(below(entry)));
            }
        }
        if self.requests.iter().all(|weighted| weighted.shares == 0) {
            let message = "every `shares` is 0, so nothing would be sent: give one of them at least 1";
            return Err(Wrong::new(&["requests"], message));
        }
        Ok(())
    }
}
