//! Waiting for nextest, and ending it when somebody wants an end.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cluster::Process;
use rustix::process::Signal;

use crate::ctx::Ctx;
use crate::exit::Failure;
use crate::gc::RunCard;
use crate::signals::Signals;

/// How often the caller's display looks at the files.
const LOOK: Duration = Duration::from_millis(250);
/// After Ctrl-C the tests have this long to write what they had; in all a run ends within 5 s.
const GRACE: Duration = Duration::from_millis(3000);
/// And this long when they were told a second time.
const LAST_WORDS: Duration = Duration::from_millis(1000);

/// How nextest ended.
pub(crate) struct Ended {
    /// A signal came.
    pub(crate) interrupted: bool,
    /// It did not end by itself.
    pub(crate) killed: bool,
}

/// Runs nextest in a process group of its own, with its process on the run's card. Meanwhile `look` is called now and then,
/// a signal is passed on, and what does not end by itself is ended.
pub(crate) async fn run_to_its_end(
    ctx: &Ctx,
    mut nextest: Command,
    card: &mut RunCard,
    look: impl FnMut(),
) -> Result<Ended, Failure> {
    let child = nextest.process_group(0).spawn();
    let child = child.map_err(|error| Failure::environment(format!("cannot start nextest: {error}")))?;
    card.nextest = Process::of_pid(child.id() as i32);
    card.write(ctx)?;
    wait(child, look).await
}

async fn wait(mut child: Child, mut look: impl FnMut()) -> Result<Ended, Failure> {
    let mut signals = Signals::listen()?;
    let nextest = Process::of_pid(child.id() as i32);
    let pass_on = |signal| nextest.is_some_and(|nextest| nextest.signal(signal));
    let mut interrupted: Option<Instant> = None;
    let (mut told_twice, mut killed) = (false, false);
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                // Somebody else may have killed it.
                killed |= status.signal().is_some();
                break;
            }
            Ok(None) => {}
            Err(error) => return Err(Failure::environment(format!("lost nextest: {error}"))),
        }
        match interrupted.map(|since| since.elapsed()) {
            Some(elapsed) if elapsed > GRACE + LAST_WORDS => {
                killed = true;
                pass_on(Signal::KILL);
            }
            // A second signal tells nextest to end its tests at once.
            Some(elapsed) if elapsed > GRACE && !told_twice => told_twice = pass_on(Signal::TERM),
            _ => {}
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => look(),
            _ = signals.interrupt.recv() => {
                pass_on(Signal::INT);
                interrupted.get_or_insert_with(Instant::now);
            }
            _ = signals.terminate.recv() => {
                pass_on(Signal::TERM);
                interrupted.get_or_insert_with(Instant::now);
            }
        }
    }
    Ok(Ended { interrupted: interrupted.is_some(), killed })
}
