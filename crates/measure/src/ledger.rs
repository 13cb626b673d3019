//! The account of every object of a trial: a full timeline, or a named reason why not.
//!
//! An object has one stamp for each stage of its life ("observed", "scheduled", "running", …), taken at the first event
//! that shows the stage. Objects belong to cohorts (the pods of one Deployment, the nodes of one pool), and a cohort
//! knows how many objects it should have: what was never seen is missing by count, what was seen but never finished is
//! missing by name. The last stage is the end of an object's life: what is gone is waited for no more, and is told apart
//! ([`Ledger::gone_early`]) when it went before it got where it should.
//!
//! Memory: one entry costs its name plus 8 bytes a stage plus about 80 bytes of bookkeeping; the bench `ledger` and a
//! test hold it under 2 KB.

use std::num::NonZeroU64;
use std::time::Duration;

use indexmap::IndexMap;

/// Index of a stage in the list given to [`Ledger::new`].
pub type Stage = usize;

/// Index of a cohort, as returned by [`Ledger::cohort`].
pub type CohortId = u32;

/// How a stage was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// By a watch event when it happened: the stamp is a measurement.
    Event,
    /// By a watch event that came late, because the watch was broken when it happened. It counts, it measures nothing.
    Late,
    /// By a list only: no event ever showed it. It counts, it measures nothing.
    Relist,
}

/// The account of a trial's objects.
#[derive(Debug)]
pub struct Ledger {
    stages: &'static [&'static str],
    cohorts: Vec<Cohort>,
    objects: IndexMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Cohort {
    name: Box<str>,
    expected: usize,
    intended: Option<Duration>,
    seen: usize,
    reached: Box<[usize]>,
    gone_early: Box<[usize]>,
}

impl Cohort {
    /// Objects that have neither reached `stage` nor gone.
    fn pending(&self, stage: Stage) -> usize {
        self.seen - self.reached[stage] - self.gone_early[stage]
    }

    /// Objects that should have reached `stage` and have not.
    fn short(&self, stage: Stage) -> usize {
        self.expected.saturating_sub(self.reached[stage])
    }
}

#[derive(Debug)]
struct Entry {
    cohort: CohortId,
    note: Option<Box<str>>,
    stamps: Box<[Option<Stamp>]>,
}

/// Nanoseconds since the start of the trial plus one in the upper 62 bits, and how it was seen in the lower two.
#[derive(Clone, Copy, Debug)]
struct Stamp(NonZeroU64);

impl Stamp {
    fn new(at: Duration, seen: Seen) -> Self {
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 4 - 2);
        let bits = ((nanos + 1) << 2) | seen as u64;
        Self(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MAX))
    }

    fn at(self) -> Duration {
        Duration::from_nanos((self.0.get() >> 2) - 1)
    }

    fn seen(self) -> Seen {
        match self.0.get() & 3 {
            0 => Seen::Event,
            1 => Seen::Late,
            _ => Seen::Relist,
        }
    }

    fn measured(self) -> bool {
        self.seen() == Seen::Event
    }
}

/// An object that a phase cannot account for.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Missing {
    /// The object, or the cohort when the object never showed itself.
    pub name: String,
    /// The last stage that it reached, and what it is waiting for.
    pub reason: String,
}

impl Ledger {
    /// An empty account of objects that live through `stages`, in order; with the last one their life ends.
    pub fn new(stages: &'static [&'static str]) -> Self {
        Self { stages, cohorts: Vec::new(), objects: IndexMap::new() }
    }

    /// The names of the stages.
    pub fn stages(&self) -> &'static [&'static str] {
        self.stages
    }

    /// Opens a cohort that should have `expected` objects.
    pub fn cohort(&mut self, name: &str, expected: usize) -> CohortId {
        let id = self.cohorts.len() as CohortId;
        let none: Box<[usize]> = vec![0; self.stages.len()].into();
        let (reached, gone_early) = (none.clone(), none);
        self.cohorts.push(Cohort { name: name.into(), expected, intended: None, seen: 0, reached, gone_early });
        id
    }

    /// Stamps `stage` of the object `name`, which belongs to `cohort` when it is new. Only the first stamp of a stage
    /// counts; returns whether this was the first.
    pub fn mark(&mut self, name: &str, cohort: CohortId, stage: Stage, at: Duration, seen: Seen) -> bool {
        let index = match self.objects.get_index_of(name) {
            Some(index) => index,
            None => {
                self.cohorts[cohort as usize].seen += 1;
                let stamps = vec![None; self.stages.len()].into();
                self.objects.insert_full(name.into(), Entry { cohort, note: None, stamps }).0
            }
        };
        let entry = &mut self.objects[index];
        entry.stamp(stage, Stamp::new(at, seen), &mut self.cohorts[entry.cohort as usize])
    }

    /// The objects of `cohort` are intended at `at`, by whoever asked somebody else to make them: their names are not
    /// known yet.
    pub fn intend(&mut self, cohort: CohortId, at: Duration) {
        self.cohorts[cohort as usize].intended = Some(at);
    }

    /// Stamps `stage` of the object `name` with the time at which its cohort was intended, if it was.
    pub fn mark_intended(&mut self, name: &str, cohort: CohortId, stage: Stage) {
        if let Some(at) = self.cohorts[cohort as usize].intended {
            self.mark(name, cohort, stage, at, Seen::Event);
        }
    }

    /// Stamps `stage` of every object of `cohort` that has not reached it and is there: what was asked of the whole cohort.
    pub fn mark_cohort(&mut self, cohort: CohortId, stage: Stage, at: Duration) {
        for entry in self.objects.values_mut().filter(|entry| entry.cohort == cohort && !entry.is_gone()) {
            entry.stamp(stage, Stamp::new(at, Seen::Event), &mut self.cohorts[cohort as usize]);
        }
    }

    /// Stamps `gone` of every object that reached `observed`, is not gone yet, and is not in the sorted list `present`:
    /// a list shows that it went while nobody watched.
    pub fn mark_absent(&mut self, present: &[String], observed: Stage, gone: Stage, at: Duration) {
        for (name, entry) in &mut self.objects {
            let there = entry.stamps[observed].is_some() && entry.stamps[gone].is_none();
            if there && present.binary_search_by(|listed| listed.as_str().cmp(name)).is_err() {
                entry.stamp(gone, Stamp::new(at, Seen::Relist), &mut self.cohorts[entry.cohort as usize]);
            }
        }
    }

    /// Keeps the last thing that was said of an object, for the reason why it is missing.
    pub fn note(&mut self, name: &str, note: &str) {
        if let Some(entry) = self.objects.get_mut(name)
            && entry.note.as_deref() != Some(note)
        {
            entry.note = Some(note.into());
        }
    }

    /// Number of objects of `cohorts` that reached `stage`, each cohort counted up to what it should have: one pod too
    /// many in one Deployment does not make up for one too few in another.
    pub fn count(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.reached[stage].min(cohort.expected)).sum()
    }

    /// Number of objects of `cohorts` that reached `stage`, those beyond what a cohort should have included.
    pub fn reached_by(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.reached[stage]).sum()
    }

    /// Number of objects that `cohorts` should have.
    pub fn expected(&self, cohorts: &[CohortId]) -> usize {
        self.each(cohorts).map(|cohort| cohort.expected).sum()
    }

    /// Number of objects of `cohorts` that were seen at all.
    pub fn seen(&self, cohorts: &[CohortId]) -> usize {
        self.each(cohorts).map(|cohort| cohort.seen).sum()
    }

    /// Number of objects of `cohorts` that have neither reached `stage` nor gone.
    pub fn pending(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.pending(stage)).sum()
    }

    /// Number of pending objects beyond those that `cohorts` still lack: nobody asked for them, and until they are there
    /// or gone nothing is over.
    pub fn surplus(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.pending(stage).saturating_sub(cohort.short(stage))).sum()
    }

    /// Number of objects of `cohorts` that went before they reached `stage`.
    pub fn gone_early(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.gone_early[stage]).sum()
    }

    /// Number of stamps of `stage` that were seen in that way.
    pub fn seen_by(&self, cohorts: &[CohortId], stage: Stage, seen: Seen) -> usize {
        let stamped = self.entries(cohorts).filter_map(|(_, entry)| entry.stamps[stage]);
        stamped.filter(|stamp| stamp.seen() == seen).count()
    }

    /// What `cohorts` cannot account for at `stage`: pending objects by name with how far they came, those that went
    /// early where none took their place, and the number that never showed themselves by cohort.
    pub fn missing(&self, cohorts: &[CohortId], stage: Stage) -> Vec<Missing> {
        let lacks = |entry: &Entry| {
            let cohort = &self.cohorts[entry.cohort as usize];
            entry.stamps[stage].is_none() && (!entry.is_gone() || cohort.short(stage) > cohort.pending(stage))
        };
        let named = self
            .entries(cohorts)
            .filter(|(_, entry)| lacks(entry))
            .map(|(name, entry)| Missing { name: name.to_owned(), reason: self.reason(entry, stage) });
        let unseen = self.each(cohorts).filter(|cohort| cohort.seen < cohort.expected).map(|cohort| Missing {
            name: cohort.name.to_string(),
            reason: format!("{} of {} objects never observed", cohort.expected - cohort.seen, cohort.expected),
        });
        named.chain(unseen).collect()
    }

    /// Number of objects behind [`Ledger::missing`]: those that `cohorts` should have and do not have at `stage`, and
    /// those that nobody asked for and that are neither there nor gone.
    pub fn unaccounted(&self, cohorts: &[CohortId], stage: Stage) -> usize {
        self.each(cohorts).map(|cohort| cohort.short(stage).max(cohort.pending(stage))).sum()
    }

    /// Times from `from` to `to` of the objects that have both, by events.
    pub fn durations(&self, cohorts: &[CohortId], from: Stage, to: Stage) -> Vec<Duration> {
        self.entries(cohorts)
            .filter_map(|(_, entry)| {
                let (from, to) = (entry.stamps[from]?, entry.stamps[to]?);
                (from.measured() && to.measured()).then(|| to.at().saturating_sub(from.at()))
            })
            .collect()
    }

    /// The slowest objects from `from` to `to`, slowest first.
    pub fn slowest(&self, cohorts: &[CohortId], from: Stage, to: Stage, most: usize) -> Vec<(&str, Duration)> {
        let mut all: Vec<(&str, Duration)> = self
            .entries(cohorts)
            .filter_map(|(name, entry)| Some((name, entry.stamps[to]?.at().saturating_sub(entry.stamps[from]?.at()))))
            .collect();
        all.sort_unstable_by_key(|(_, duration)| std::cmp::Reverse(*duration));
        all.truncate(most);
        all
    }

    /// When each object reached `stage`, sorted: the progress curve, as offsets from the start of the trial.
    pub fn curve(&self, cohorts: &[CohortId], stage: Stage) -> Vec<Duration> {
        let mut stamps: Vec<Duration> =
            self.entries(cohorts).filter_map(|(_, entry)| Some(entry.stamps[stage]?.at())).collect();
        stamps.sort_unstable();
        stamps
    }

    /// Every object as `(name, cohort, stamps)`, where a stamp is its offset and how it was seen.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &str, Vec<Option<(Duration, Seen)>>)> {
        self.objects.iter().map(|(name, entry)| {
            let stamps = entry.stamps.iter().map(|stamp| stamp.map(|stamp| (stamp.at(), stamp.seen())));
            (&**name, &*self.cohorts[entry.cohort as usize].name, stamps.collect())
        })
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether no object was seen yet.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Heap bytes that the account of the objects holds, as far as the ledger can tell (allocator overhead apart).
    pub fn heap_bytes(&self) -> usize {
        let slots = self.objects.capacity() * (size_of::<(usize, Box<str>, Entry)>() + 2 * size_of::<usize>());
        let owned: usize = self
            .objects
            .iter()
            .map(|(name, entry)| {
                name.len() + entry.note.as_ref().map_or(0, |note| note.len()) + size_of_val(&*entry.stamps)
            })
            .sum();
        slots + owned
    }

    fn reason(&self, entry: &Entry, stage: Stage) -> String {
        let reached = entry.stamps.iter().enumerate().rev().find_map(|(i, stamp)| Some((i, (*stamp)?)));
        let wanted = self.stages[stage];
        let mut reason = match reached {
            Some((last, stamp)) => {
                format!("never {wanted}; {} at +{:.3}s", self.stages[last], stamp.at().as_secs_f64())
            }
            None => format!("never {wanted}"),
        };
        if let Some(note) = &entry.note {
            reason.push_str(&format!(" ({note})"));
        }
        reason
    }

    fn each(&self, cohorts: &[CohortId]) -> impl Iterator<Item = &Cohort> {
        cohorts.iter().map(|id| &self.cohorts[*id as usize])
    }

    fn entries<'a>(&'a self, cohorts: &[CohortId]) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let wanted = cohorts.to_vec();
        let all = self.objects.iter().map(|(name, entry)| (&**name, entry));
        all.filter(move |(_, entry)| wanted.contains(&entry.cohort))
    }
}

impl Entry {
    /// Stamps a stage once, and keeps the counts of its cohort; returns whether it was the first time.
    fn stamp(&mut self, stage: Stage, stamp: Stamp, cohort: &mut Cohort) -> bool {
        if self.stamps[stage].is_some() {
            return false;
        }
        if self.is_gone() {
            cohort.gone_early[stage] -= 1;
        }
        self.stamps[stage] = Some(stamp);
        cohort.reached[stage] += 1;
        if stage + 1 == self.stamps.len() {
            let skipped = self.stamps.iter().enumerate().filter(|(_, stamp)| stamp.is_none());
            skipped.for_each(|(skipped, _)| cohort.gone_early[skipped] += 1);
        }
        true
    }

    fn is_gone(&self) -> bool {
        self.stamps.last().is_some_and(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAGES: &[&str] = &["observed", "scheduled", "running", "gone"];
    const OBSERVED: Stage = 0;
    const SCHEDULED: Stage = 1;
    const RUNNING: Stage = 2;
    const GONE: Stage = 3;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn the_first_stamp_of_a_stage_counts_and_later_ones_change_nothing() {
        let mut ledger = Ledger::new(STAGES);
        let web = ledger.cohort("web", 1);
        assert!(ledger.mark("web-1", web, OBSERVED, ms(5), Seen::Event));
        assert!(!ledger.mark("web-1", web, OBSERVED, ms(9), Seen::Event));
        assert_eq!(ledger.curve(&[web], OBSERVED), [ms(5)]);
        assert_eq!(ledger.count(&[web], OBSERVED), 1);
    }

    #[test]
    fn what_never_showed_itself_is_missing_by_count_and_what_did_not_finish_by_name() {
        let mut ledger = Ledger::new(STAGES);
        let web = ledger.cohort("web", 3);
        ledger.mark("web-1", web, OBSERVED, ms(1), Seen::Event);
        ledger.mark("web-1", web, RUNNING, ms(9), Seen::Event);
        ledger.mark("web-2", web, OBSERVED, ms(2), Seen::Event);
        ledger.mark("web-2", web, SCHEDULED, ms(3), Seen::Event);
        ledger.note("web-2", "node n-7");
        assert_eq!(
            ledger.missing(&[web], RUNNING),
            [
                Missing { name: "web-2".into(), reason: "never running; scheduled at +0.003s (node n-7)".into() },
                Missing { name: "web".into(), reason: "1 of 3 objects never observed".into() },
            ]
        );
        assert_eq!(ledger.unaccounted(&[web], RUNNING), 2);
    }

    /// A pod that is evicted before it runs and is replaced, and one that a confused controller makes too many.
    #[test]
    fn what_went_early_is_told_and_what_nobody_asked_for_is_waited_for() {
        let mut ledger = Ledger::new(STAGES);
        let web = ledger.cohort("web", 2);
        ledger.mark("web-1", web, RUNNING, ms(1), Seen::Event);
        ledger.mark("web-2", web, OBSERVED, ms(2), Seen::Event);
        ledger.mark("web-2", web, GONE, ms(3), Seen::Event);
        let counts = |ledger: &Ledger| {
            let figures = [Ledger::pending, Ledger::surplus, Ledger::gone_early, Ledger::unaccounted];
            figures.map(|figure| figure(ledger, &[web], RUNNING))
        };
        assert_eq!(counts(&ledger), [0, 0, 1, 1]);
        assert_eq!(ledger.missing(&[web], RUNNING)[0].reason, "never running; gone at +0.003s");
        ledger.mark("web-3", web, RUNNING, ms(4), Seen::Event);
        assert_eq!(counts(&ledger), [0, 0, 1, 0]);
        ledger.mark("web-4", web, OBSERVED, ms(5), Seen::Event);
        assert_eq!(counts(&ledger), [1, 1, 1, 1]);
        ledger.mark("web-4", web, GONE, ms(6), Seen::Relist);
        assert_eq!(counts(&ledger), [0, 0, 2, 0]);
        assert_eq!(ledger.missing(&[web], RUNNING), []);
        ledger.mark("web-4", web, RUNNING, ms(7), Seen::Late);
        assert_eq!(counts(&ledger), [0, 0, 1, 0], "an event that comes after the end still counts");
    }

    #[test]
    fn one_too_many_in_a_cohort_does_not_make_up_for_one_too_few_in_another() {
        let mut ledger = Ledger::new(STAGES);
        let (a, b) = (ledger.cohort("a", 1), ledger.cohort("b", 1));
        for name in ["a-1", "a-2"] {
            ledger.mark(name, a, RUNNING, ms(1), Seen::Event);
        }
        assert_eq!(ledger.count(&[a, b], RUNNING), 1);
        assert_eq!(ledger.unaccounted(&[a, b], RUNNING), 1);
        assert_eq!((ledger.seen(&[a, b]), ledger.expected(&[a, b])), (2, 2));
    }

    #[test]
    fn what_a_list_showed_counts_but_measures_nothing() {
        let mut ledger = Ledger::new(STAGES);
        let web = ledger.cohort("web", 2);
        ledger.mark("web-1", web, OBSERVED, ms(1), Seen::Event);
        ledger.mark("web-1", web, RUNNING, ms(50), Seen::Relist);
        ledger.mark("web-2", web, OBSERVED, ms(1), Seen::Event);
        ledger.mark("web-2", web, RUNNING, ms(4), Seen::Event);
        assert_eq!(ledger.count(&[web], RUNNING), 2);
        assert_eq!(ledger.seen_by(&[web], RUNNING, Seen::Relist), 1);
        assert_eq!(ledger.durations(&[web], OBSERVED, RUNNING), [ms(3)]);
        assert_eq!(ledger.slowest(&[web], OBSERVED, RUNNING, 1), [("web-1", ms(49))]);
    }

    /// The limit of 2 KB an object, with names as Kubernetes makes them and every stage stamped.
    #[test]
    fn ten_thousand_pods_through_their_whole_life_cost_under_2_kb_each() {
        let mut ledger = Ledger::new(&["intended", "observed", "scheduled", "running", "deleting", "gone"]);
        let pods = ledger.cohort("pods", 10_000);
        for i in 0..10_000u64 {
            let name = format!("nodepool-published-deployment-{:02}-6d8f9c7b5f-{i:05}", i / 200);
            (0..6).for_each(|stage| {
                ledger.mark(&name, pods, stage, ms(i), Seen::Event);
            });
            ledger.note(&name, "on node kperf-nodepool-00017");
        }
        assert!(ledger.heap_bytes() / ledger.len() < 2048, "{} bytes an object", ledger.heap_bytes() / ledger.len());
    }

    proptest! {
        /// Conservation: every object is there, pending or gone early, and what is not accounted for is listed.
        #[test]
        fn nothing_is_lost(expected in 0usize..20, events in prop::collection::vec((0usize..30, 0usize..4), 0..200)) {
            let mut ledger = Ledger::new(STAGES);
            let pods = ledger.cohort("pods", expected);
            for (object, stage) in events {
                ledger.mark(&format!("pod-{object}"), pods, stage, ms(1), Seen::Event);
            }
            let done = ledger.curve(&[pods], RUNNING).len();
            let (pending, gone) = (ledger.pending(&[pods], RUNNING), ledger.gone_early(&[pods], RUNNING));
            prop_assert_eq!(done + pending + gone, ledger.seen(&[pods]));
            let unaccounted = ledger.unaccounted(&[pods], RUNNING);
            prop_assert_eq!(unaccounted, expected.saturating_sub(done).max(pending));
            prop_assert_eq!(ledger.missing(&[pods], RUNNING).is_empty(), unaccounted == 0);
        }
    }
}
