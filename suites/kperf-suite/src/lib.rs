//! The driver of document 003: kperf. So far its virtual node pool.

pub mod nodepool;
mod row;

pub use row::{DISTURBED_FIXTURE, ROWS_FILE, disturbed_row, nodepool_row, parameters};
