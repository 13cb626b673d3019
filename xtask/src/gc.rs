//! What dead runs left on this machine: their processes, their objects, their half-written files.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cluster::{Lease, Process, Shell, State, Swept};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::ctx::{Ctx, say};
use crate::exit::Failure;

/// The card of a run that goes on: who runs it. It stays when its command is killed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RunCard {
    /// The run.
    pub(crate) run_id: String,
    /// Its results.
    pub(crate) results: PathBuf,
    /// The command.
    pub(crate) command: Process,
    /// nextest, once it runs.
    pub(crate) nextest: Option<Process>,
}

impl RunCard {
    fn path(ctx: &Ctx, run_id: &str) -> PathBuf {
        ctx.state.join("runs").join(format!("{run_id}.json"))
    }

    pub(crate) fn write(&self, ctx: &Ctx) -> Result<(), Failure> {
        let path = Self::path(ctx, &self.run_id);
        let shell = Shell::real();
        shell.make_dir(&ctx.state.join("runs"))?;
        Ok(shell.write(&path, &serde_json::to_vec(self).unwrap_or_default())?)
    }

    pub(crate) fn remove(&self, ctx: &Ctx) {
        fs::remove_file(Self::path(ctx, &self.run_id)).ok();
    }

    fn all(ctx: &Ctx) -> Vec<Self> {
        let cards = fs::read_dir(ctx.state.join("runs")).into_iter().flatten().flatten();
        cards.filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()).collect()
    }
}

/// Ends what dead runs left running, then sweeps clusters, locks, caches and results.
pub(crate) async fn gc(ctx: &Ctx, shell: &Shell) -> Result<Swept, Failure> {
    let mut swept = Swept::default();
    for card in RunCard::all(ctx).into_iter().filter(|card| card.command.state() == State::Dead) {
        if shell.doing(format!("end the processes of run {}", card.run_id)) {
            swept.processes += end(ctx, &card);
            say(&format!("run {} was killed; what it had: cargo xtask report {}", card.run_id, card.results.display()));
            card.remove(ctx);
            swept.files += 1;
        }
    }
    if shell.doing(format!("remove half-built programs in {}", ctx.cache.display())) {
        swept.files += thirdparty::sweep_partials(&ctx.cache)?.len();
        swept.files += temporary_files(&ctx.results());
    }
    swept.files += crate::bench::sweep(ctx, shell);
    swept.add(ctx.fixtures().gc(shell, &say).await?);
    Ok(swept)
}

/// Ends nextest, which ends its tests, and then whatever test of the run still holds a lease.
fn end(ctx: &Ctx, card: &RunCard) -> usize {
    let mut ended = 0;
    if let Some(nextest) = card.nextest.filter(|nextest| nextest.signal(Signal::TERM)) {
        let mut waited = Duration::ZERO;
        while nextest.state() != State::Dead && waited < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(50));
            waited += Duration::from_millis(50);
        }
        nextest.kill(Duration::from_secs(2));
        ended += 1;
    }
    let locks = ctx.fixtures().locks();
    for name in ctx.fixtures().names() {
        let holders = Lease::holders(&locks, &name).into_iter();
        for holder in holders.filter(|holder| holder.run_id.as_deref() == Some(card.run_id.as_str())) {
            holder.process.kill(Duration::from_secs(2));
            ended += 1;
        }
    }
    ended
}

/// Removes temporary files of dead writers anywhere in the results; returns how many there were.
fn temporary_files(directory: &std::path::Path) -> usize {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    below.map(|entry| temporary_files(&entry.path())).sum::<usize>() + cluster::sweep_files(directory)
}
