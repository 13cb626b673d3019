//! The driver of document 002: the Kamaji benchmark. Tenant Control Planes by the real operator on real DataStores: their
//! time to Ready and to usable, and what one costs.

pub mod bare;
pub mod cost;
mod edge;
pub mod faults;
mod growth;
pub mod isolation;
pub mod leaks;
pub mod lifecycle;
pub mod management;
pub mod parameters;
mod pkcs8;
mod rig;
mod row;
mod sink;
pub mod stages;
pub mod tenant;
pub mod usable;

pub use rig::{Meddler, Scene};
pub use row::{DISTURBED_FIXTURE, benchmark_row, check_rows, disturbed_row, narrow_row, parameters};
