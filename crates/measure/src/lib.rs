//! What a measurement is, apart from how it is taken: accounts, statistics, budgets, verdicts and gates.
//!
//! Invariant: nothing here knows tokio, kube or a clock. Time enters as a value, so every rule can be tested with a
//! history that is written down.

pub mod arms;
pub mod budget;
pub mod gap;
pub mod gate;
pub mod go;
pub mod ledger;
pub mod line;
pub mod progress;
pub mod promtext;
pub mod schedule;
pub mod standstill;
pub mod stats;
mod typed;
pub mod validity;
pub mod verdict;

pub use budget::{Basis, Budget, BudgetError, Budgets, Compared, Direction, Judged};
pub use gap::Gap;
pub use go::go_duration;
pub use ledger::{Ledger, Missing, Seen};
pub use progress::{End, Progress, StallRule};
pub use schedule::{Arrivals, Due, Rate, Schedule, ScheduleError, Step, Until};
pub use stats::Quantiles;
pub use typed::typed;
pub use validity::invalid_by_slip;
pub use verdict::{Verdict, human};
