//! The driver of document 003: kperf. Its load profiles, its virtual node pool and its runner groups.

pub mod bench;
pub mod group;
pub mod load;
pub mod nodepool;
mod row;

pub use row::{
    DISTURBED_FIXTURE, FIXTURE, bench_row, check_rows, disturbed_bench_row, disturbed_group_row, disturbed_load_row,
    disturbed_row, group_row, load_row, nodepool_row,
};
