//! The registry's own account, request by request.

use std::fmt::Write as _;

use images::{Ending, Entry};

/// Requests that were refused, disturbed or broken off.
pub fn failures(entries: &[Entry]) -> usize {
    let failed = |entry: &&Entry| entry.status >= 400 || entry.fault.is_some() || entry.ending == Ending::BrokenOff;
    entries.iter().filter(failed).count()
}

/// The account as a table, a row a request.
pub fn requests_csv(entries: &[Entry]) -> String {
    let mut csv = String::from("came_s,ended_s,client,method,path,range,status,sent_bytes,ending,fault\n");
    for entry in entries {
        let ending = if entry.ending == Ending::Complete { "complete" } else { "broken-off" };
        let (range, fault) = (entry.range.as_deref().unwrap_or(""), entry.fault.as_deref().unwrap_or(""));
        let (came_s, ended_s) = (entry.came_us as f64 / 1e6, entry.ended_us as f64 / 1e6);
        // Writing to a String cannot fail.
        let _ = writeln!(
            csv,
            "{came_s:.6},{ended_s:.6},{},{},{},{range},{},{},{ending},{fault}",
            entry.client, entry.method, entry.path, entry.status, entry.sent_bytes
        );
    }
    csv
}
