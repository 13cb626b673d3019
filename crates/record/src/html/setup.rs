//! What a row ran with, what it cost and what stands beside it, as tables; and the command that repeats it.

use std::collections::BTreeMap;

use measure::budget::{Direction, Role};
use measure::{Judged, Verdict};
use serde_json::Value;

use super::cells::{Badge, Cell, Table};
use crate::fingerprint::Fingerprint;
use crate::gather::TrialSummary;
use crate::schema::Trial;
use crate::table::{limit, observed};
use crate::text::{bytes, figure, percent, quoted};

/// The budgets, those that were not met first: observed and limit, and below each name its role, source and derivation.
pub(crate) fn budgets(trial: &Trial) -> Table {
    let mut table = Table::new("Budgets", &["budget", "observed", "limit", "of the limit"]);
    let mut verdicts: Vec<Verdict> = trial.budgets.iter().map(|judged| judged.verdict).collect();
    verdicts.sort_by_key(|verdict| (verdict.passes(), *verdict));
    verdicts.dedup();
    for verdict in verdicts {
        let group: Vec<&Judged> = trial.budgets.iter().filter(|judged| judged.verdict == verdict).collect();
        table.push([Cell::Group(Badge { verdict }, format!("{} of {}", group.len(), trial.budgets.len()))]);
        for judged in group {
            let role = match judged.role {
                Role::Gate => "gate",
                Role::Ceiling => "ceiling",
            };
            table.push([
                Cell::Noted(judged.metric.clone(), format!("{role}; {}; {}", judged.source, judged.derivation)),
                Cell::Number(observed(judged)),
                Cell::Number(limit(judged)),
                Cell::Number(used(judged).map_or("-".to_owned(), percent)),
            ]);
        }
    }
    table
}

/// How much of its limit a figure uses up: a budget is missed above 1, on whichever side of its limit it has to stay.
fn used(judged: &Judged) -> Option<f64> {
    let observed = judged.observed?;
    let used = match judged.direction {
        Direction::AtMost => observed / judged.limit,
        Direction::AtLeast => judged.limit / observed,
    };
    used.is_finite().then_some(used)
}

/// Figures of others beside ours.
pub(crate) fn published(trial: &Trial) -> Table {
    let mut table = Table::new("Published figures beside ours", &["figure", "theirs", "ours"]);
    for published in &trial.published {
        let ours = published.metric.as_ref().and_then(|metric| trial.metrics.get(metric));
        table.push([
            Cell::Noted(published.figure.clone(), published.source.clone()),
            Cell::Text(published.theirs.clone()),
            Cell::Number(ours.map_or("-".to_owned(), |value| figure(*value))),
        ]);
    }
    table
}

/// The parameters, overridden ones marked.
pub(crate) fn parameters(trial: &Trial) -> Table {
    let marked = trial.parameters.iter().map(|(name, value)| {
        let mark = if trial.overridden.contains_key(name) { " (overridden)" } else { "" };
        (name.clone(), format!("{}{mark}", plain(value)))
    });
    let seeds = trial.seeds.iter().map(|(of, seed)| (format!("seed of the order of {of}"), seed.to_string()));
    Table::of_pairs("Parameters", marked.chain(seeds))
}

/// The clusters that rows ran on, by their settings, versions and programs. Many rows share one, so each is told once.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    known: Vec<(String, Vec<Table>)>,
}

impl Clusters {
    /// The number of a trial's cluster, from 1.
    pub(crate) fn number(&mut self, trial: &Trial) -> usize {
        let key = format!("{} {:?} {:?}", trial.settings, trial.programs, trial.versions);
        let known = self.known.iter().position(|(known, _)| *known == key);
        let index = known.unwrap_or_else(|| {
            let tables = [settings(trial), versions(trial), programs(trial)];
            self.known.push((key, tables.into_iter().filter(|table| !table.is_empty()).collect()));
            self.known.len() - 1
        });
        index + 1
    }

    /// The tables of each, in the order of their numbers.
    pub(crate) fn into_tables(self) -> Vec<Vec<Table>> {
        self.known.into_iter().map(|(_, tables)| tables).collect()
    }
}

/// The settings of the cluster.
fn settings(trial: &Trial) -> Table {
    let settings = trial.settings.as_object().into_iter().flatten();
    Table::of_pairs("Settings of the cluster", settings.map(|(name, value)| (name.clone(), plain(value))))
}

/// Versions of the system under test.
fn versions(trial: &Trial) -> Table {
    Table::of_pairs("Versions", trial.versions.clone())
}

/// The programs with their versions and where they came from.
fn programs(trial: &Trial) -> Table {
    let mut table = Table::new("Programs", &["program", "version", "from"]);
    for program in &trial.programs {
        let field = |name: &str| program.get(name).map_or("-".to_owned(), plain);
        let sha256: String = field("sha256").chars().take(12).collect();
        table.push([
            Cell::Noted(field("name"), format!("sha256 {sha256}…, {}", field("path"))),
            Cell::Text(field("version")),
            Cell::Text(field("source")),
        ]);
    }
    table
}

/// What the machine did during the row, and what the harness itself cost.
pub(crate) fn machine_and_harness(trial: &Trial) -> Table {
    let (machine, harness) = (&trial.machine, &trial.harness);
    let pairs = [
        ("machine busy", percent(machine.busy_share)),
        ("CPU time stolen by a hypervisor", percent(machine.steal_share)),
        ("load average at the start", figure(machine.load_at_start)),
        ("clock stepped by", format!("{} ms", figure(machine.clock_step_ms))),
        ("yardstick, median", format!("{} CPU ms", figure(machine.yardstick_ms))),
        ("harness: CPU", format!("{} s", figure(harness.cpu_s))),
        ("harness: peak memory", bytes(harness.peak_rss_bytes as f64)),
        ("harness: longest wait for a CPU", harness.cpu_wait_share.map_or("not counted".to_owned(), percent)),
        ("harness: API requests", harness.requests.to_string()),
        ("harness: watch events", bytes(harness.watch_bytes as f64)),
        ("harness: ledger, an object", bytes(harness.ledger_bytes_per_object)),
    ];
    Table::of_pairs("Machine and harness", pairs.map(|(name, value)| (name.to_owned(), value)))
}

/// What the watches went through.
pub(crate) fn watches(trial: &Trial) -> Table {
    let head = ["watch", "events", "bytes", "breaks", "410 Gone", "relists", "undecoded"];
    let mut table = Table::new("Watches", &head);
    for (name, watch) in &trial.watches {
        let counts = [watch.breaks, watch.gone, watch.relists, watch.undecoded].map(Cell::number);
        let read = [Cell::number(watch.events), Cell::Number(bytes(watch.bytes as f64))];
        table.push([Cell::Text(name.clone())].into_iter().chain(read).chain(counts));
    }
    table
}

/// The machine of the run.
pub(crate) fn fingerprint(machine: &Fingerprint) -> Table {
    let pairs = [
        ("CPU", format!("{} x {}", machine.cpus, machine.cpu_model)),
        ("architecture", machine.architecture.clone()),
        ("memory", bytes(machine.memory_bytes as f64)),
        ("system", machine.os.clone()),
        ("kernel", machine.kernel.clone()),
        ("host and its start, a hash", machine.host.clone()),
    ];
    Table::of_pairs("Machine", pairs.map(|(name, value)| (name.to_owned(), value)))
}

/// The command that runs the row again, for a shell. What the run's own `command` said of somebody's cluster is in it:
/// which one, and what may be done there.
pub(crate) fn repeat(row: &TrialSummary, overridden: &BTreeMap<String, Value>, command: &[String]) -> String {
    let TrialSummary { suite, test, profile, provider, .. } = row;
    let suite = suite.strip_suffix("-suite").unwrap_or(suite);
    let mut words =
        vec!["cargo xtask run".to_owned(), quoted(suite), "--filter".to_owned(), quoted(&format!("test({test})"))];
    // kwok is what a run takes when it is not told.
    if !["", "kwok"].contains(&provider.as_str()) {
        words.extend(["--provider".to_owned(), quoted(provider)]);
    }
    if provider == "existing" {
        words.extend(of_access(command).into_iter().map(|word| quoted(word)));
    }
    if !profile.is_empty() {
        words.extend(["--profile".to_owned(), quoted(profile)]);
    }
    for (key, value) in overridden {
        words.extend(["--set".to_owned(), quoted(&format!("{key}={}", plain(value)))]);
    }
    words.join(" ")
}

/// The flags of a command that name a cluster and give leave on it, with their values.
fn of_access(command: &[String]) -> Vec<&String> {
    const WITH_VALUE: [&str; 2] = ["--context", "--kubeconfig"];
    let joined = |word: &str| WITH_VALUE.iter().any(|flag| word.starts_with(&format!("{flag}=")));
    let flag = |word: &str| WITH_VALUE.contains(&word) || ["--allow-nodes", "--allow-load"].contains(&word);
    let value = |i: usize| i > 0 && WITH_VALUE.contains(&command[i - 1].as_str());
    let wanted = command.iter().enumerate().filter(|(i, word)| flag(word) || joined(word) || value(*i));
    wanted.map(|(_, word)| word).collect()
}

/// A JSON value without the quotes of a string.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gather::Expected;
    use crate::source::Source;
    use rstest::rstest;

    #[rstest]
    #[case::a_limit_above(Direction::AtMost, 20.0, 15.0, Some(0.75))]
    #[case::above_its_limit(Direction::AtMost, 20.0, 30.0, Some(1.5))]
    #[case::a_limit_below(Direction::AtLeast, 20.0, 80.0, Some(0.25))]
    #[case::below_its_limit(Direction::AtLeast, 20.0, 10.0, Some(2.0))]
    #[case::nothing_allowed_and_nothing_seen(Direction::AtMost, 0.0, 0.0, None)]
    fn more_than_all_of_a_limit_is_used_where_it_is_missed(
        #[case] direction: Direction,
        #[case] limit: f64,
        #[case] observed: f64,
        #[case] share: Option<f64>,
    ) {
        let judged = Judged {
            metric: String::new(),
            limit,
            direction,
            role: Role::Gate,
            observed: Some(observed),
            verdict: Verdict::Pass,
            reason: String::new(),
            source: String::new(),
            derivation: String::new(),
        };
        assert_eq!(used(&judged), share);
    }

    #[test]
    fn a_row_is_repeated_with_its_profile_and_its_overrides() {
        let overridden =
            BTreeMap::from([("image".to_owned(), Value::from("it's")), ("nodes".to_owned(), Value::from(50))]);
        let row = Expected { suite: "kperf-suite".to_owned(), test: "nodepool_smoke".to_owned() };
        let row = Source::NeverBegan(row).summary("default");
        assert_eq!(
            repeat(&row, &overridden, &[]),
            r"cargo xtask run kperf --filter 'test(nodepool_smoke)' --profile default --set 'image=it'\''s' --set nodes=50"
        );
        let strangers = TrialSummary { provider: "existing".to_owned(), ..row };
        let command = "cargo xtask run kperf --provider existing --context lab --allow-nodes --set nodes=5";
        let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let again = repeat(&strangers, &overridden, &command);
        assert!(again.contains(" --provider existing --context lab --allow-nodes --profile"), "{again}");
    }
}
