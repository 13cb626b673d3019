//! What a suite imports: one trial from the descriptor of a running cluster to a verdict.
//!
//! [`run`] adopts the cluster, takes its lease, opens the record, starts the observers, calls the suite's driver, judges
//! the budgets and writes what was found. A driver runs phases and stamps ledgers; it never sees a budget.

mod arms;
mod at_least_one;
mod check;
mod clients;
mod context;
mod error;
mod inject;
mod judge;
mod kinds;
mod lines;
mod namespace;
mod object;
mod observe;
mod opening;
mod parameters;
mod phase;
mod pods;
mod profile;
mod program;
mod proof;
mod scrape;
mod series;
mod signals;
mod suite;
mod supervise;
mod trial;
mod watch;
mod yardstick;

pub use arms::{Arms, compared};
pub use at_least_one::at_least_one;
pub use check::{Kind, ROWS_TEST, RUN_ROWS};
pub use context::{ARM, Context, KUBECONFIG, LEAVE, PROFILE, SESSION, SUITE_SETS, fixture};
pub use error::{Error, Result};
pub use inject::Injection;
pub use kinds::{make_kinds, read_kinds};
pub use object::Object;
pub use parameters::{Cost, Rows};
pub use phase::{Account, Goal, PhaseSpec};
pub use pods::PodStages;
pub use program::Program;
pub use suite::Suite;
pub use supervise::{Launch, Service, Supervisor, ended_children_cpu_s, free_port, until_ready};
pub use trial::{Row, Trial, judged, run};
pub use watch::{Change, Sink, Tamper, Tampered, Watch, WatchSpec};
