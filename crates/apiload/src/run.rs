//! Runs a plan, phase by phase.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::task::TaskTracker;

use crate::client::{Client, Shared};
use crate::connect::{Connector, Sender};
use crate::control::{Control, Live};
use crate::error::{Error, PlanError, Result};
use crate::feed::{Clock, Feed, Pacer};
use crate::frames::Wire;
use crate::link::Links;
use crate::mix::Mix;
use crate::operation::Operation;
use crate::outcome::{Connections, Outcome, PhaseOutcome, Setup, invalid};
use crate::plan::{Phase, Plan};
use crate::recorder::{Recorder, Window};
use crate::request::Request;
use crate::row::Row;
use crate::series::Series;
use crate::tally::{Tally, Totals};
use crate::target::Target;

/// Parts that the clients record in, so that two of them seldom wait for each other.
const RECORDERS: usize = 4;
/// How often a phase is looked at.
const TICK: Duration = Duration::from_secs(1);
/// From the last preparation to the first due time: the pacing thread needs some of it to begin.
const LEAD: Duration = Duration::from_millis(10);

/// Puts the load of a plan on an apiserver, and says what came of it. It ends by itself, or by [`Control::stop`] with what
/// was had until then.
///
/// # Errors
/// When the plan cannot be run, or no connection can be opened when a phase begins. Whatever happens after that is counted.
pub async fn run(target: &Target, plan: &Plan, control: &Control) -> Result<Outcome> {
    plan.check()?;
    // A set is ended with this future, like everything else that is started here.
    let mut renewal = JoinSet::new();
    let credentials = Arc::clone(&target.credentials);
    renewal.spawn(async move { credentials.renew().await });
    let mut phases = Vec::new();
    for (index, phase) in plan.phases.iter().enumerate() {
        if control.is_stopped() {
            break;
        }
        phases.push(Run::start(target, plan, phase, index, control).await?.finish(control).await);
    }
    Ok(Outcome { target: target.url(), seed: plan.seed, stopped: control.is_stopped(), phases })
}

/// A phase that is running.
struct Run<'a> {
    phase: &'a Phase,
    index: usize,
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    pacer: Option<Pacer>,
    wire: Arc<Wire>,
    started: SystemTime,
    series: Series,
    /// What ended since the last interval was closed.
    window: Window,
    errors: u64,
}

impl<'a> Run<'a> {
    /// Opens the connections, then starts the clock.
    async fn start(target: &Target, plan: &Plan, phase: &'a Phase, index: usize, control: &Control) -> Result<Self> {
        let mut operations = Vec::new();
        for entry in 0..phase.mix.len() {
            operations.extend(Operation::all(entry, plan, phase, target)?);
        }
        let mix = mix(&operations, phase, plan.seed.wrapping_add(index as u64))
            .ok_or(Error::Plan { phase: index, source: PlanError::Nothing("shares") })?;
        let wire = Arc::new(Wire::default());
        let connector = Connector::new(target, phase.protocol, phase.http2, Arc::clone(&wire));
        let links = Arc::new(Links::new(connector, phase.sockets()));
        let mut recorders: Vec<_> =
            (0..RECORDERS.min(phase.clients)).map(|_| Recorder::new(operations.len())).collect();
        let senders = connect(target, &links, phase.sockets(), &mut recorders[0]).await?;

        let tallies: Arc<[Tally]> = operations.iter().map(|_| Tally::default()).collect();
        let (clock, started) = (Clock::starting_at(Instant::now() + LEAD), SystemTime::now() + LEAD);
        let (feed, pacer) =
            Feed::start(&phase.schedule, mix, clock, Arc::clone(&tallies), phase.backlog).map_err(Error::Thread)?;
        let shared = Arc::new(Shared {
            next_look: operations.iter().map(|_| Default::default()).collect(),
            operations,
            feed,
            clock,
            tallies,
            recorders: recorders.into_iter().map(Into::into).collect(),
            links,
            credentials: Arc::clone(&target.credentials),
            timeout: phase.timeout,
            max_retries: phase.max_retries,
            looks: TaskTracker::new(),
            phase: index,
            control: control.clone(),
        });
        let mut senders = senders.into_iter();
        let mut clients = JoinSet::new();
        for client in 0..phase.clients {
            clients.spawn(Client::new(Arc::clone(&shared), client, senders.next().flatten()).run());
        }
        Ok(Self {
            phase,
            index,
            shared,
            clients,
            pacer,
            wire,
            started,
            series: Series::default(),
            window: Window::default(),
            errors: 0,
        })
    }

    /// Waits for the end of the phase, or brings it about, and gathers what there is.
    async fn finish(mut self, control: &Control) -> PhaseOutcome {
        let mut ticks = interval_at(tokio::time::Instant::now() + TICK, TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut drained_by = None;
        loop {
            tokio::select! {
                client = self.clients.join_next() => if client.is_none() { break },
                () = control.stopped() => break,
                _ = ticks.tick() => {
                    self.look(control, false);
                    let offered = self.pacer.as_ref().is_some_and(Pacer::is_finished);
                    if offered && self.shared.clock.now() >= *drained_by.get_or_insert(self.shared.clock.now() + self.phase.drain) {
                        break;
                    }
                }
            }
        }
        if let Some(pacer) = self.pacer.take() {
            pacer.join();
        }
        self.clients.shutdown().await;
        self.shared.feed.close();
        self.shared.looks.close();
        self.shared.looks.wait().await;
        self.look(control, true);
        self.outcome()
    }

    /// Closes an interval of the series where it is time, and shows how the phase is doing.
    fn look(&mut self, control: &Control, last: bool) {
        let shared = &self.shared;
        (0..shared.recorders.len()).for_each(|i| shared.record(i, |recorder| self.window.drain(&mut recorder.window)));
        let (now, totals) = (shared.clock.now(), Totals::of(&shared.tallies));
        let rate = |ended: u64, length: Duration| ended as f64 / length.as_secs_f64().max(f64::EPSILON);
        let window = &self.window;
        let ended = window.completed + window.failed + window.timed_out;
        let errors = self.errors + window.failed + window.timed_out;
        control.show(Live {
            phase: self.index,
            elapsed: now,
            offered: totals.offered,
            done: totals.settled,
            errors,
            never_sent: totals.never_sent,
            in_flight: totals.in_flight(),
            backlog: totals.backlog(),
            per_second: rate(ended, now.saturating_sub(self.series.start())),
            p99: window.response.quantile(0.99),
        });
        if self.series.close(now, totals, &mut self.window, last) {
            self.errors = errors;
        }
    }

    fn outcome(self) -> PhaseOutcome {
        let mut merged = Recorder::new(self.shared.operations.len());
        for recorder in &self.shared.recorders {
            merged.add(&recorder.lock().unwrap_or_else(PoisonError::into_inner));
        }
        let mut rows = std::mem::take(&mut merged.rows);
        for (row, (operation, tally)) in rows.iter_mut().zip(self.shared.operations.iter().zip(&*self.shared.tallies)) {
            (row.entry, row.kind, row.label) = (operation.entry, operation.kind, operation.label.to_string());
            row.counts.offered = tally.offered.load(Relaxed);
            row.counts.never_sent = tally.never_sent.load(Relaxed);
            row.counts.cancelled = tally.cancelled.load(Relaxed);
            row.counts.retried = tally.retried.load(Relaxed);
        }
        let mut total = Row { kind: "total", label: "total".to_owned(), ..Row::default() };
        rows.iter().for_each(|row| total.add(row));
        let opened = merged.connect.count();
        PhaseOutcome {
            schedule: self.phase.schedule.clone(),
            setup: Setup::of(self.phase),
            started_unix_s: self.started,
            elapsed: self.shared.clock.now(),
            invalid: invalid(&merged.slip, &total),
            total,
            rows,
            connections: Connections {
                opened,
                reconnects: opened.saturating_sub(self.phase.sockets() as u64),
                goaways: self.wire.goaways.load(Relaxed),
                resets: self.wire.resets.load(Relaxed),
                received_bytes: self.wire.received.load(Relaxed),
                written_bytes: self.wire.written.load(Relaxed),
                connect: merged.connect,
                tls: merged.tls,
            },
            slip: merged.slip,
            flow_control: merged.flows,
            retry_after: merged.retry_after,
            failures: merged.samples,
            series: self.series.into_intervals(),
        }
    }
}

/// The choice between the requests of a phase.
fn mix(operations: &[Operation], phase: &Phase, seed: u64) -> Option<Mix> {
    let share = |share: &crate::plan::Share| {
        let delete_ratio = if let Request::PostDel(pods) = &share.request { pods.delete_ratio } else { 0.0 };
        (share.shares, delete_ratio)
    };
    Mix::of(operations, &phase.mix.iter().map(share).collect::<Vec<_>>(), seed)
}

/// Opens all connections at once: no request is to pay for its connection, and they are measured apart. A client whose
/// connection fails tries again with its first request; it is an error only if all fail.
async fn connect(
    target: &Target,
    links: &Arc<Links>,
    count: usize,
    recorder: &mut Recorder,
) -> Result<Vec<Option<Sender>>> {
    let mut opening = JoinSet::new();
    for index in 0..count {
        let links = Arc::clone(links);
        opening.spawn(async move { (index, links.sender(index).await) });
    }
    let mut senders: Vec<Option<Sender>> = (0..count).map(|_| None).collect();
    let mut failed = None;
    for (index, taken) in opening.join_all().await {
        match taken {
            Ok(taken) => {
                taken.opened.iter().for_each(|(connect, tls)| recorder.opened(*connect, *tls));
                senders[index] = Some(taken.sender);
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    match failed {
        Some(failed) if senders.iter().all(Option::is_none) => {
            Err(Error::Unreachable { url: target.url(), cause: format!("{}: {}", failed.failure, failed.message) })
        }
        _ => Ok(senders),
    }
}
