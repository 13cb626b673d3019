//! Results as files: the versioned schema, atomic writing, gathering, and the tables made from them.
//!
//! Everything here reads and writes files only. A trial writes its record as it goes, so that a killed run still
//! reports what it had; whoever reports afterwards needs no cluster and no test.

mod comparison;
mod document;
mod fingerprint;
mod gather;
mod html;
mod junit;
mod others;
mod pictures;
mod run_dir;
mod schema;
mod source;
mod stages;
mod summary;
mod table;
mod text;

pub use comparison::{
    Arm, Comparison, Judgement, Missed, Repeat, RowComparison, compare, comparison_markdown, comparison_table,
};
pub use fingerprint::Fingerprint;
pub use gather::{Expected, Run, State, TrialSummary, gather};
pub use html::html_page;
pub use junit::{annotate_junit, tests_took_s};
pub use others::other_programs;
pub use pictures::{pictures_of_page, ratio_picture};
pub use run_dir::{Error, RunDir, new_run_id, row_name};
pub use schema::{
    ArmRun, Breakdown, Cell, ComponentUse, Document, FaultRecord, HarnessUse, METRICS, MachineUse, Part, PhaseRecord,
    ProgressTimes, Published, SCHEMA, SlowObject, Trial, WatchRecord,
};
pub use summary::summary_markdown;
pub use table::{details, rows_table};
