//! `cargo xtask run`: tools, cluster, rows, results, report.

mod overrides;
mod real_nodes;
mod resume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::{NodeShape, Process, Provider, UpRequest};
use harness::{Cost, LEAVE, Rows, SUITE_SETS};
use measure::{Verdict, human};
use record::{Expected, Run, RunDir, State, annotate_junit, gather, new_run_id, summary_markdown};

use crate::cli::{ProviderName, RunArgs, RunProvider};
use crate::compare::step_summary;
use crate::ctx::{Ctx, print, say};
use crate::doctor::can_simulate;
use crate::exit::{Exit, Failure};
use crate::fixture::{CLUSTER, open_run};
use crate::gc::RunCard;
use crate::guest::{Guest, NeedyRow};
use crate::kind;
use crate::live::Live;
use crate::lock::one_run_at_a_time;
use crate::nextest::{Nextest, junit_path};
use crate::report::{show, write_page};
use crate::run::resume::Resumed;
use crate::signals;
use crate::suites::{self, Suite};
use crate::waiting::{Ended, run_to_its_end};

pub(crate) async fn run(ctx: &Ctx, mut args: RunArgs) -> Result<Exit, Failure> {
    let (started, began) = (Instant::now(), jiff::Timestamp::now());
    check_flags(&args)?;
    let suites = suites::select(ctx, &args.suites)?;
    args.profile = real_nodes::profile(&args, &suites);
    let args = &args;
    let data = suites.iter().map(suites::data).collect::<Result<Vec<_>, _>>()?;
    let parameters: Vec<Rows> = data.into_iter().map(|(_, rows)| rows).collect();
    let sets = overrides::read(&args.sets, &parameters)?;
    real_nodes::check(args, &suites)?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    let resumed =
        args.resume.as_ref().map(|name| Resumed::find(ctx, &results(ctx, args), name, &command)).transpose()?;
    let (run_id, run_dir) = match &resumed {
        Some(resumed) => (resumed.run.run_id.clone(), resumed.run_dir.clone()),
        None => new_run(ctx, args),
    };
    run_dir.check_writable().map_err(|error| {
        Failure::environment(format!("{error}; make it writable, or name another directory with --out"))
    })?;
    ctx.check_writable()?;
    if args.provider != Some(RunProvider::Existing) && fixture_of(args) == "kwok" {
        can_simulate(ctx)?;
    }
    let mut guest = match args.provider {
        Some(RunProvider::Existing) => Some(Guest::arrive(ctx, args).await?),
        _ => None,
    };

    let select = |excluded: &[&str], any_profile: bool| {
        let selection = selection(&suites, fixture_of(args), args.filter.as_deref(), excluded, any_profile);
        Nextest::new(ctx, args.profile.name(), selection)
    };
    let mut listed = select(&[], false)?.list()?;
    // A row that is asked for by name runs whatever the profile's own filter says.
    let any_profile = listed.rows.is_empty() && args.filter.is_some();
    if any_profile {
        listed = select(&[], true)?.list()?;
    }
    let mut rows = listed.rows.clone();
    if rows.is_empty() {
        return Err(Failure::new(Exit::NothingRan, nothing_selected(&suites, args)));
    }
    overrides::check(&sets, &suites, &parameters, &rows)?;
    listed.check(&sets, &rows)?;
    let measured = resumed.as_ref().map(Resumed::measured).unwrap_or_default();
    rows.retain(|row| !measured.contains(row));
    if rows.is_empty() {
        say(&format!("every row of run {run_id} is measured"));
        let run = gather(&run_dir)?;
        show(&run, &run_dir);
        return Ok(Exit::of_run(&run));
    }
    let names: Vec<&str> = rows.iter().map(|row| row.test.as_str()).collect();
    say(&format!("{} row(s): {}; {}", rows.len(), names.join(", "), cost(&parameters, &names)));
    let needy = needy_rows(&suites, &parameters, &rows, &sets)?;
    if let Some(guest) = &guest {
        guest.ask_leave(&needy)?;
    }

    let what = format!("cargo xtask {}", command.join(" "));
    let _lock = one_run_at_a_time(ctx, &run_id, &what)?;
    let mut card = RunCard { run_id, results: run_dir.path().to_owned(), command: Process::this(), nextest: None };
    programs(ctx, &suites, &parameters, &rows)?;
    let fixture = match &mut guest {
        Some(guest) => guest.settle(ctx, &card.run_id, &needy).await?,
        None => {
            let (name, provider): (_, Box<dyn Provider>) = match fixture_of(args) {
                "kind" => (kind::NAME, Box::new(kind::provider(ctx, kind::WORKERS)?)),
                _ => ("default", Box::new(ctx.kwok()?)),
            };
            let request = UpRequest { name: name.to_owned(), nodes: 0, shape: NodeShape::default() };
            signals::up(ctx, provider.as_ref(), &request).await?;
            request.name
        }
    };
    // A row that is asked for by name runs, and its verdict says what it needs.
    let cannot_run = match &guest {
        Some(guest) if args.filter.is_none() => guest.cannot_run(&needy),
        _ => Vec::new(),
    };
    rows.retain(|row| !cannot_run.iter().any(|(other, _)| other == row));
    let command = [vec!["cargo".to_owned(), "xtask".to_owned()], command].concat();
    let mut run = match resumed {
        Some(resumed) => resumed.run,
        None => {
            let run = open_run(ctx, &run_dir, &card.run_id, args.profile.name(), command, rows.clone())?;
            // What it took begins with the build.
            Run { started_at: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), ..run }
        }
    };
    // From now on there is something that a killed run leaves.
    card.write(ctx)?;
    run_dir.mark_latest()?;
    run.not_selected =
        cannot_run.iter().map(|(row, needs)| format!("{} {}: needs {needs}", row.suite, row.test)).collect();
    if args.filter.is_none() {
        run.not_selected.extend(suites::absent(&suites, &parameters, args.profile.name()));
        run.not_selected.extend(real_nodes::not_selected(ctx, &suites, args)?);
    }
    if rows.is_empty() {
        card.remove(ctx);
        return nothing_ran(run, &run_dir);
    }
    run_dir.write_json(&run_dir.run_json(), &run)?;
    let excluded = cannot_run.iter().map(|(row, _)| row).chain(&measured);
    let excluded: Vec<&str> = excluded.map(|row| row.test.as_str()).collect();
    let nextest = select(&excluded, any_profile)?;

    let json = serde_json::to_string(&sets).unwrap_or_default();
    let env = BTreeMap::from([
        (CLUSTER, fixture),
        (LEAVE, guest.as_ref().map(Guest::leave).unwrap_or_default()),
        (SUITE_SETS, if sets.is_empty() { String::new() } else { json }),
        ("KUBEDYNO_RUN_ID", card.run_id.clone()),
        ("KUBEDYNO_RESULTS", run_dir.path().display().to_string()),
    ]);
    let log = run_dir.path().join("nextest.log");
    // The file of an earlier run must not become this one's.
    std::fs::remove_file(junit_path(ctx, args.profile.name())).ok();
    let mut live = Live::start(&run_dir, &rows);
    let ended = run_to_its_end(ctx, nextest.run(&env, &log)?, &mut card, || live.look()).await?;
    live.stop();

    match &guest {
        Some(guest) if !ended.interrupted => guest.leave_clean(ctx, &card.run_id).await,
        Some(_) => say("what the run left in the cluster goes with `cargo xtask cluster gc`"),
        None => {}
    }
    run.state = match (ended.interrupted, ended.killed) {
        (true, _) => State::Interrupted,
        (false, true) => State::Incomplete,
        (false, false) => State::Complete,
    };
    run.wall_s = Some(run.wall_s.unwrap_or_default() + started.elapsed().as_secs_f64());
    run_dir.write_json(&run_dir.run_json(), &run)?;
    // A nextest that had to be killed leaves its tests behind: the card is how `cluster gc` finds them.
    if !ended.killed {
        card.remove(ctx);
    }
    finish(ctx, &run_dir, args, &ended, &log)
}

/// Gathers, writes the reports and shows; the exit code is that of the verdicts.
fn finish(ctx: &Ctx, run_dir: &RunDir, args: &RunArgs, ended: &Ended, log: &PathBuf) -> Result<Exit, Failure> {
    let gathered = gathered(ctx, run_dir, args);
    // The page is written in any case: it shows a record that cannot be read as what it is, and the rest.
    let page = write_page(run_dir);
    let run = gathered?;
    show(&run, run_dir);
    match page {
        Ok(page) => print(&format!("report:  {}", page.display())),
        Err(error) => say(&format!("no index.html: {error}")),
    }
    // Without a single record the fault lies before the rows: the log says where.
    if run.trials.iter().all(|trial| trial.record.is_empty()) && !ended.interrupted {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        say(&lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    if run.trials.iter().any(|trial| trial.verdict == Verdict::NoData) {
        say(&format!("what the tests printed: {}", log.display()));
    }
    if let Some(wall_s) = run.wall_s {
        let rows: f64 = run.trials.iter().map(|trial| trial.wall_s).sum();
        let [all, rows] = [wall_s, rows].map(|seconds| human(Duration::from_secs_f64(seconds)));
        say(&format!("took {all}, of which the rows {rows}"));
    }
    Ok(Exit::of_run(&run))
}

/// Brings `run.json` up to date and writes `junit.xml` and `summary.md`.
fn gathered(ctx: &Ctx, run_dir: &RunDir, args: &RunArgs) -> Result<Run, Failure> {
    let mut run = gather(run_dir)?;
    let junit = junit_path(ctx, args.profile.name());
    match annotate_junit(&junit, &new_junit(run_dir.path()), &run) {
        Ok(id) => {
            run.nextest_run_id = id;
            run_dir.write_json(&run_dir.run_json(), &run)?;
        }
        Err(error) => say(&format!("no junit.xml: {error}")),
    }
    summarise(&run, run_dir)?;
    Ok(run)
}

/// `junit.xml`; of a run that was resumed `junit-2.xml` and so on, because nextest knows only of the rows that it ran.
fn new_junit(directory: &Path) -> PathBuf {
    let numbered = (2..).map(|number| directory.join(format!("junit-{number}.xml")));
    let mut names = std::iter::once(directory.join("junit.xml")).chain(numbered);
    names.find(|name| !name.exists()).unwrap_or_default()
}

/// The directory with a directory for each run.
fn results(ctx: &Ctx, args: &RunArgs) -> PathBuf {
    args.out.clone().unwrap_or_else(|| ctx.results())
}

/// The id and the directory of a run that begins now.
fn new_run(ctx: &Ctx, args: &RunArgs) -> (String, RunDir) {
    let id = new_run_id();
    let path = results(ctx, args).join(&id);
    (id, RunDir::at(std::path::absolute(&path).unwrap_or(path)))
}

/// `summary.md`, and the step summary of a GitHub job.
fn summarise(run: &Run, run_dir: &RunDir) -> Result<(), Failure> {
    let summary = summary_markdown(run, run_dir);
    run_dir.write_file("summary.md", summary.as_bytes())?;
    step_summary(&summary)
}

/// nextest's selection: the binaries that are named after the provider, without the rows that break things to show that
/// a gate can fail; those belong to the checks of this repository. Rows in `excluded` are left out.
fn selection(
    suites: &[Suite],
    binary: &str,
    filter: Option<&str>,
    excluded: &[&str],
    any_profile: bool,
) -> Vec<String> {
    let mut args: Vec<String> = suites.iter().flat_map(|suite| ["-p".to_owned(), suite.package.clone()]).collect();
    let excluded = excluded.iter().map(|row| format!(" & not test(/(^|::|::case_[0-9]+_){row}$/)"));
    let rows = format!("binary({binary}) & not test(/^disturbed::/){}", excluded.collect::<String>());
    args.push("-E".to_owned());
    args.push(filter.map_or(rows.clone(), |filter| format!("({rows}) & ({filter})")));
    if any_profile {
        args.push("--ignore-default-filter".to_owned());
    }
    args
}

/// The test binaries that run: what the profile needs, unless a provider is named.
fn fixture_of(args: &RunArgs) -> &'static str {
    match (args.provider, args.profile.fixture()) {
        (Some(RunProvider::Kind), _) | (None, ProviderName::Kind) => "kind",
        _ => "kwok",
    }
}

/// Gets what the rows' suites test, here, where its progress is seen: nextest's setup scripts write to a file.
fn programs(ctx: &Ctx, suites: &[Suite], parameters: &[Rows], rows: &[Expected]) -> Result<(), Failure> {
    let selected = suites.iter().zip(parameters).filter(|(suite, _)| rows.iter().any(|row| row.suite == suite.package));
    let names: Vec<&str> = selected.flat_map(|(_, rows)| rows.programs()).collect();
    ctx.thirdparty().ensure_all(&names)?;
    Ok(())
}

/// Each row with what it needs of a cluster of others.
fn needy_rows(
    suites: &[Suite],
    parameters: &[Rows],
    rows: &[Expected],
    sets: &BTreeMap<String, String>,
) -> Result<Vec<NeedyRow>, Failure> {
    let needy = rows.iter().map(|row| {
        let of_suite = suites.iter().zip(parameters).find(|(suite, _)| suite.package == row.suite);
        let needs = of_suite.map_or(Ok(None), |(_, rows)| rows.needs(&row.test, sets));
        let needs = needs.map_err(|error| Failure::usage(error.to_string()))?;
        Ok(NeedyRow { row: row.clone(), needs })
    });
    needy.collect()
}

/// What names somebody's cluster, or gives leave on it, means nothing on a cluster of ours.
fn check_flags(args: &RunArgs) -> Result<(), Failure> {
    let given = [
        (args.access.kubeconfig.is_some(), "--kubeconfig"),
        (args.access.context.is_some(), "--context"),
        (args.allow_nodes, "--allow-nodes"),
        (args.allow_load, "--allow-load"),
    ];
    match given.iter().find(|(given, _)| *given) {
        Some((_, flag)) if args.provider != Some(RunProvider::Existing) => {
            Err(Failure::usage(format!("{flag} goes with --provider existing")))
        }
        _ => Ok(()),
    }
}

/// The report of a run of which no row can run.
fn nothing_ran(mut run: Run, run_dir: &RunDir) -> Result<Exit, Failure> {
    run.state = State::Complete;
    run_dir.write_json(&run_dir.run_json(), &run)?;
    summarise(&run, run_dir)?;
    show(&run, run_dir);
    Ok(Exit::NothingRan)
}

fn nothing_selected(suites: &[Suite], args: &RunArgs) -> String {
    let names: Vec<&str> = suites.iter().map(|suite| suite.package.as_str()).collect();
    let filter = args.filter.as_ref().map_or(String::new(), |filter| format!(" and filter `{filter}`"));
    format!(
        "no row of {} matches profile `{}`{filter}; `cargo nextest list -p {} --ignore-default-filter` shows all",
        names.join(", "),
        args.profile.name(),
        names.first().unwrap_or(&"kperf-suite")
    )
}

/// What the rows will take, from the measured costs in `parameters.toml`.
fn cost(parameters: &[Rows], names: &[&str]) -> String {
    let costs: Vec<&Cost> =
        names.iter().filter_map(|name| parameters.iter().find_map(|rows| rows.cost(name))).collect();
    let minutes: f64 = costs.iter().map(|cost| cost.minutes).sum();
    let disk_mib = costs.iter().map(|cost| cost.disk_mib).max().unwrap_or(0);
    let time = match minutes.ceil() as u64 {
        0 | 1 => "a minute".to_owned(),
        n => format!("{n} minutes"),
    };
    let untimed = names.len() - costs.len();
    let more =
        if untimed > 0 { format!(", and what {untimed} of them take that were never timed") } else { String::new() };
    format!("about {time} on 2 cores and {disk_mib} MiB of disk once programs and cluster are there{more}")
}
