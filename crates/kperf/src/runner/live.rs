//! One line on a terminal while a load runs.

use std::io::{IsTerminal as _, Write as _};

use apiload::Live;
use measure::human;
use tokio::sync::watch::Receiver;

/// Shows a load of this many phases, once a second. A stderr that is no terminal gets nothing: what it would get is in
/// the result, second by second.
pub(super) async fn show(mut live: Receiver<Live>, phases: usize) {
    let mut stderr = std::io::stderr();
    while stderr.is_terminal() && live.changed().await.is_ok() {
        let text = line(&live.borrow_and_update(), phases);
        write!(stderr, "\r\x1b[2K{text}").and_then(|()| stderr.flush()).ok();
    }
}

/// Takes the line away again.
pub(super) fn clear() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush()).ok();
    }
}

fn line(now: &Live, phases: usize) -> String {
    let phase = if phases > 1 { format!("phase {}/{phases} ", now.phase + 1) } else { String::new() };
    let p99 = now.p99.map_or_else(|| "-".to_owned(), human);
    let mut line = format!(
        "{phase}{} {:.0}/s, {} in flight, p99 {p99}, {} errors, {} of {} done",
        human(now.elapsed),
        now.per_second,
        now.in_flight,
        now.errors,
        now.done,
        now.offered,
    );
    if now.backlog > 0 || now.never_sent > 0 {
        line.push_str(&format!(", {} waiting for a client, {} never sent", now.backlog, now.never_sent));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_line_has_rate_in_flight_p99_and_errors() {
        let mut now = Live {
            elapsed: Duration::from_secs(12),
            offered: 1_200,
            done: 1_190,
            errors: 3,
            in_flight: 10,
            per_second: 99.6,
            p99: Some(Duration::from_millis(48)),
            ..Live::default()
        };
        assert_eq!(line(&now, 1), "12.00s 100/s, 10 in flight, p99 48ms, 3 errors, 1190 of 1200 done");
        (now.phase, now.p99, now.backlog) = (1, None, 7);
        let expected = "phase 2/3 12.00s 100/s, 10 in flight, p99 -, 3 errors, 1190 of 1200 done, 7 waiting for a client, \
                        0 never sent";
        assert_eq!(line(&now, 3), expected);
    }
}
