//! The driver of document 001: Deployments created at a fixed rate, each pod pulling an image, and every pull accounted
//! for: its stages, its bytes by node, and how fast pods came up.

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
mod started;
pub mod startup;

pub use drive::{Disturb, drive};
pub use parameters::PullTest;
pub use row::{FIXTURE, check_rows, disturbed_row, parameters, pull_row};
