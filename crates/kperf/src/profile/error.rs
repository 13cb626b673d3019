//! Why a file of kperf was refused.

use serde_saphyr::Location;

use super::tree::Step;

/// Why a file was refused: always with the file, and where it has them with line, column and field.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}{place}: {field}{message}", place = place(*line, *column), field = prefix(field))]
pub struct ProfileError {
    /// The file's name as given.
    pub file: String,
    /// The line, from 1; 0 where the file was not read.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The field: `spec.requests[0].staleList.limit`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub message: String,
}

impl ProfileError {
    /// An error of the file as a whole.
    pub(crate) fn unplaced(file: &str, message: String) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0, field: String::new(), message }
    }

    pub(super) fn at(file: &str, path: &[Step], at: Location, message: String) -> Self {
        let mut field = String::new();
        for step in path {
            if matches!(step, Step::Key(_)) && !field.is_empty() {
                field.push('.');
            }
            field.push_str(&step.to_string());
        }
        // What stands nowhere is said of the whole file, which begins at its first line.
        let (line, column) = (at.line().max(1) as usize, at.column().max(1) as usize);
        Self { file: file.to_owned(), line, column, field, message }
    }
}

fn place(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}
