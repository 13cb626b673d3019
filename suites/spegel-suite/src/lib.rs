//! The driver of document 000: a DaemonSet is created, so that all nodes pull an image at once, and updated, so that one pulls
//! after the other, with nothing before the registry, with a pull-through cache, or with Spegel; and every byte that a node
//! gets is attributed to where it came from.

pub mod analysis;
mod daemonset;
mod drive;
pub mod external;
pub mod mirror;
pub mod parameters;
pub mod provenance;
mod report;
pub mod results;
mod rig;
mod rollout;
mod row;
pub mod simulated;

pub use drive::{Disturb, drive};
pub use parameters::{Benchmark, Comparison, Simulated};
pub use rig::Rig;
pub use row::{
    DISTURBED_FIXTURE, FIXTURE, benchmark_row, check_rows, comparison_row, disturbed_comparison_row, disturbed_row,
    disturbed_simulated_row, parameters as rows, simulated_row, spegel_row,
};
