//! The driver of document 004: the Spiderpool performance test. Many pods on as many addresses through create, rebuild,
//! recover and delete, beside other IPAM plugins; judged for speed, and for who got which address.

pub mod absent;
pub mod addresses;
pub mod attribution;
pub mod automatic;
pub mod cni;
mod document;
pub mod exhaustion;
pub mod kubelet;
pub mod machines;
pub mod matrix;
pub mod performance;
pub mod plugin;
mod pods;
pub mod pool;
mod rig;
mod row;
pub mod stages;
mod start;
pub mod system;
pub mod tier;

pub use row::{
    DISTURBED_FIXTURE, absent_row, check_rows, disturbed_ratio_row, disturbed_row, matrix_row, parameters, ratio_row,
    tier_row,
};
pub use system::Interpose;
