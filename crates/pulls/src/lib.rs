//! What is known of the image pulls of a kind cluster's nodes: what kubelets tell in events, containerds in their logs and
//! histograms, and the registry in its ledger; and what the nodes' content stores hold before and after.
//!
//! The accounts know nothing of each other. [`join`] makes one row of each pull of them, and leaves empty what none gives.

mod containerd;
mod content;
mod events;
pub mod histograms;
mod join;
mod requests;

use std::time::SystemTime;

pub use crate::containerd::{Span, spans};
pub use crate::content::Held;
pub use crate::events::{Pulled, await_pulled, pulled};
pub use crate::join::{Account, NodeAccount, Pull, Stages, csv, join, of_nodes};
pub use crate::requests::{failures, requests_csv};

/// The registry or a node did not do what a trial cannot do without.
pub fn broken(error: origin::Error) -> harness::Error {
    harness::Error::Environment(error.to_string())
}

/// The seed of a trial's images, from that of its row. Images that were removed leave what was unpacked of them as long as a
/// dead container refers to it, and a pull of the same content fetches no layer then: no trial has the content of another.
pub fn image_seed(of_row: u64) -> u64 {
    of_row.wrapping_add(micros(SystemTime::now()))
}

/// Microseconds since 1970.
pub fn micros(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros() as u64
}
