//! The driver of document 001: Deployments created at a fixed rate, each pod pulling an image, and every pull accounted
//! for: its stages, its bytes by node, and how fast pods came up. On simulated nodes the same without the pulls.

mod deployment;
mod deployments;
mod drive;
mod pace;
pub mod parameters;
pub mod perfdata;
mod pods;
mod report;
mod rig;
mod row;
pub mod simulated;
mod started;
pub mod startup;

pub use drive::{Disturb, drive};
pub use parameters::{PullTest, Simulated};
pub use row::{
    DISTURBED_FIXTURE, FIXTURE, check_rows, disturbed_row, disturbed_simulated_row, parameters, pull_row, simulated_row,
};
