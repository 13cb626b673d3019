//! What can be said without a cluster.

use std::collections::BTreeMap;

use spiderpool_suite::absent::Absent;
use spiderpool_suite::matrix::Matrix;
use spiderpool_suite::tier::{Ratio, Tier};
use spiderpool_suite::{ROWS_FILE, parameters};

/// A misspelt parameter of a row that runs once a week is found at once.
#[test]
fn every_row_is_of_one_kind() {
    let (rows, none) = (parameters().unwrap(), BTreeMap::new());
    for name in rows.names() {
        let kinds = [
            rows.row::<Matrix>(ROWS_FILE, name, &none).is_ok(),
            rows.row::<Tier>(ROWS_FILE, name, &none).is_ok(),
            rows.row::<Ratio>(ROWS_FILE, name, &none).is_ok(),
            rows.row::<Absent>(ROWS_FILE, name, &none).is_ok(),
        ];
        assert_eq!(kinds.iter().filter(|is| **is).count(), 1, "{name}");
    }
}
