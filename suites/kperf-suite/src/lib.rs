//! The driver of document 003: kperf. Its load profiles and its virtual node pool.

pub mod bench;
pub mod load;
pub mod nodepool;
mod row;

pub use row::{
    DISTURBED_FIXTURE, FIXTURE, bench_row, check_rows, disturbed_bench_row, disturbed_load_row, disturbed_row,
    load_row, nodepool_row,
};
