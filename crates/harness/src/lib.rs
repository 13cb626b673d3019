//! What a suite imports: one trial from the descriptor of a running cluster to a verdict.
//!
//! [`run`] adopts the cluster, takes its lease, opens the record, starts the observers, calls the suite's driver, judges
//! the budgets and writes what was found. A driver runs phases and stamps ledgers; it never sees a budget.

mod context;
mod error;
mod inject;
mod judge;
mod lines;
mod observe;
mod opening;
mod parameters;
mod phase;
mod program;
mod scrape;
mod series;
mod supervise;
mod trial;
mod watch;
mod yardstick;

pub use context::{Context, LEAVE, SUITE_SETS, fixture};
pub use error::{Error, Result};
pub use inject::Injection;
pub use parameters::{Cost, Rows};
pub use phase::{Account, Goal, PhaseSpec};
pub use program::Program;
pub use supervise::{Launch, Service, Supervisor};
pub use trial::{Row, Trial, judged, run};
pub use watch::{Change, Object, Sink, Tamper, Tampered, Watch, WatchSpec};
