//! Every request to a plugin: of which pod, how long it took, and what came of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use measure::Quantiles;

/// A request to a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Give addresses.
    Add,
    /// Take them back.
    Del,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What was asked.
    pub operation: Operation,
    /// The pod.
    pub pod: String,
    /// Which sandbox of the pod it was about, from 1.
    pub sandbox: u32,
    /// When it was asked, from the start of the trial.
    pub at: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// What went wrong.
    pub error: Option<String>,
    /// Whether the plugin hid that from its caller.
    pub hidden: bool,
}

/// All requests of a trial, in the order of their answers.
#[derive(Debug, Default)]
pub struct Log {
    attempts: Vec<Attempt>,
}

impl Operation {
    /// As the CNI specification writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
        }
    }
}

impl Log {
    /// Adds a request.
    pub fn push(&mut self, attempt: Attempt) {
        self.attempts.push(attempt);
    }

    /// Number of requests so far.
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    /// Whether there was none yet.
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// The requests from the `since`th on.
    pub fn since(&self, since: usize) -> &[Attempt] {
        &self.attempts[since.min(self.attempts.len())..]
    }

    /// `t_s,operation,pod,sandbox,took_ms,hidden,error`: all requests.
    pub fn csv(&self) -> String {
        let mut csv = String::from("t_s,operation,pod,sandbox,took_ms,hidden,error\n");
        for Attempt { operation, pod, sandbox, at, took, error, hidden } in &self.attempts {
            let (at, took) = (at.as_secs_f64(), took.as_secs_f64() * 1e3);
            let error = error.as_deref().unwrap_or_default().replace('"', "'").replace('\n', " ");
            writeln!(csv, "{at:.6},{},{pod},{sandbox},{took:.3},{hidden},\"{error}\"", operation.as_str()).ok();
        }
        csv
    }
}

/// How long the requests of one kind took that went well, and how many did not.
pub fn summary(attempts: &[Attempt], operation: Operation) -> (Quantiles, usize) {
    let asked = || attempts.iter().filter(move |attempt| attempt.operation == operation);
    let took = asked().filter(|attempt| attempt.error.is_none()).map(|attempt| attempt.took).collect();
    (Quantiles::of(took), asked().filter(|attempt| attempt.error.is_some()).count())
}

/// What went wrong, by how often, most frequent first: the words of an error without what differs from pod to pod.
pub fn errors(attempts: &[Attempt], most: usize) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in attempts {
        if let Some(error) = &attempt.error {
            let words = error.split_whitespace().filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
            let said = words.collect::<Vec<_>>().join(" ");
            let hidden = if attempt.hidden { ", hidden by the plugin" } else { "" };
            *counts.entry(format!("{}{hidden}: {said}", attempt.operation.as_str())).or_default() += 1;
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(most);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(operation: Operation, error: Option<&str>) -> Attempt {
        Attempt {
            operation,
            pod: "web-1".to_owned(),
            sandbox: 1,
            at: Duration::from_secs(1),
            took: Duration::from_millis(5),
            error: error.map(str::to_owned),
            hidden: false,
        }
    }

    #[test]
    fn errors_that_differ_only_in_their_pods_are_one() {
        let attempts = [
            attempt(Operation::Add, Some("no address for web-1")),
            attempt(Operation::Add, Some("no address for web-2")),
            attempt(Operation::Del, Some("gone")),
            attempt(Operation::Add, None),
        ];
        let wanted = [("ADD: no address for".to_owned(), 2), ("DEL: gone".to_owned(), 1)];
        assert_eq!(errors(&attempts, 5), wanted);
        let (quantiles, failed) = summary(&attempts, Operation::Add);
        assert_eq!((quantiles.n, failed), (1, 2));
    }

    #[test]
    fn every_request_is_a_line() {
        let mut log = Log::default();
        log.push(attempt(Operation::Add, Some("said \"no\"")));
        assert_eq!(log.csv().lines().nth(1), Some("1.000000,ADD,web-1,1,5.000,false,\"said 'no'\""));
    }
}
