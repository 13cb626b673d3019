//! `cargo xtask fixture ensure`: what nextest's setup scripts call. It brings the fixture up and tells the tests where
//! it is and where their results go.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use cluster::{NodeShape, ProgramUsed, UpRequest};
use harness::{Program, SESSION};
use record::{Fingerprint, Run, RunDir, SCHEMA, State};

use crate::cli::{FixtureArgs, FixtureVerb, ProviderName};
use crate::cluster_verbs::source;
use crate::ctx::{Ctx, print};
use crate::exit::{Exit, Failure};
use crate::kind;
use crate::runner_image;
use crate::signals;
use crate::suites;

/// Variable with the name of the cluster that a run uses.
pub(crate) const CLUSTER: &str = "KUBEDYNO_CLUSTER";

pub(crate) async fn fixture(ctx: &Ctx, args: &FixtureArgs) -> Result<Exit, Failure> {
    // Whoever makes a cluster inside a test measures its making, and leaves it behind.
    if std::env::var_os("NEXTEST_TEST_NAME").is_some() {
        return Err(Failure::usage("a test must not make its fixture: nextest's setup script does that"));
    }
    match &args.verb {
        FixtureVerb::Ensure { provider, name, service_range, workers } => {
            ensure(ctx, *provider, name.as_ref(), service_range.clone(), *workers).await?;
        }
        FixtureVerb::Programs { names, suite: None } => programs(ctx, names)?,
        FixtureVerb::Programs { suite: Some(suite), .. } => {
            let suite = suites::select(ctx, std::slice::from_ref(suite))?.remove(0);
            let (_, rows) = suites::data(&suite)?;
            programs(ctx, &rows.programs().map(str::to_owned).collect::<Vec<_>>())?;
        }
        FixtureVerb::RunnerImage => {
            let image = serde_json::to_string(&runner_image::made(ctx, false)?).unwrap_or_default();
            tell(&format!("{}={image}\n", nodeimage::RUNNER_IMAGE))?;
        }
    }
    Ok(Exit::Ok)
}

async fn ensure(
    ctx: &Ctx,
    provider: ProviderName,
    name: Option<&String>,
    service_range: Option<String>,
    workers: Option<u32>,
) -> Result<(), Failure> {
    let shared = || match provider {
        ProviderName::Kwok => std::env::var(CLUSTER).unwrap_or_else(|_| "default".to_owned()),
        ProviderName::Kind => kind::NAME.to_owned(),
    };
    let request = UpRequest { name: name.cloned().unwrap_or_else(shared), nodes: 0, shape: NodeShape::default() };
    let fixtures = ctx.fixtures();
    // `cargo xtask run --provider existing` names a cluster of others, and needs none of our programs.
    if !fixtures.descriptor(&request.name).is_ok_and(|descriptor| descriptor.is_existing()) {
        let source = source(ctx, provider, workers, service_range, false)?;
        signals::up(ctx, source.as_ref(), &request).await?;
    }
    let variable = match provider {
        ProviderName::Kwok => "KWOK",
        ProviderName::Kind => "KIND",
    };
    let more = match provider {
        ProviderName::Kwok => String::new(),
        // What stands beside the nodes, so that a test pulls nothing into Docker.
        ProviderName::Kind => {
            let registry = ctx.thirdparty().ensure("registry")?;
            format!("{}={}\n", nodeimage::REGISTRY_IMAGE, nodeimage::registry_image(&registry)?)
        }
    };
    let suffix = name.map_or(String::new(), |name| format!("_{}", name.to_uppercase().replace('-', "_")));
    let descriptor = fixtures.descriptor_path(&request.name);
    let (run_id, results, session) = run_of_this_session(ctx)?;
    let session = if session { format!("{SESSION}=1\n") } else { String::new() };
    let lines = format!(
        "KUBEDYNO_FIXTURE_{variable}{suffix}={}\nKUBEDYNO_RUN_ID={run_id}\nKUBEDYNO_RESULTS={}\n{session}{more}",
        descriptor.display(),
        results.display()
    );
    tell(&lines)
}

/// Each program as a line of JSON in a variable of its own.
fn programs(ctx: &Ctx, names: &[String]) -> Result<(), Failure> {
    ctx.check_writable()?;
    let thirdparty = ctx.thirdparty();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut lines = String::new();
    for (name, program) in &thirdparty.ensure_all(&names)? {
        let program = Program { used: ProgramUsed::from(program), module: thirdparty.module(name)? };
        let json = serde_json::to_string(&program).unwrap_or_default();
        lines.push_str(&format!("{}={json}\n", Program::variable(name)));
    }
    tell(&lines)
}

/// Tells nextest, or whoever runs this by hand.
fn tell(lines: &str) -> Result<(), Failure> {
    match std::env::var_os("NEXTEST_ENV") {
        Some(file) => append(Path::new(&file), lines),
        None => {
            print(lines);
            Ok(())
        }
    }
}

/// The run that the tests belong to: the one that `cargo xtask run` opened, or one for this nextest session; and whether it is
/// the latter. `latest` is left where it is: the first row that begins moves it.
fn run_of_this_session(ctx: &Ctx) -> Result<(String, PathBuf, bool), Failure> {
    if let (Ok(run_id), Some(results)) = (std::env::var("KUBEDYNO_RUN_ID"), std::env::var_os("KUBEDYNO_RESULTS")) {
        return Ok((run_id, results.into(), false));
    }
    let session = std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| record::new_run_id());
    let session = session.split('-').next().unwrap_or_default().to_owned();
    let results = ctx.results();
    let known = std::fs::read_dir(&results).into_iter().flatten().flatten();
    let known = known.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let run_id = match known.filter(|name| name.ends_with(&format!("-{session}"))).max() {
        Some(run_id) => run_id,
        None => format!("{}-{session}", jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S")),
    };
    let run_dir = RunDir::at(results.join(&run_id));
    if !run_dir.run_json().exists() {
        let profile = std::env::var("NEXTEST_PROFILE").unwrap_or_else(|_| "default".to_owned());
        let command = vec!["cargo nextest run".to_owned()];
        open_run(ctx, &run_dir, &run_id, &profile, command, Vec::new())?;
    }
    Ok((run_id, run_dir.path().to_owned(), true))
}

/// Writes the `run.json` that a run begins with.
pub(crate) fn open_run(
    ctx: &Ctx,
    run_dir: &RunDir,
    run_id: &str,
    profile: &str,
    command: Vec<String>,
    expected: Vec<record::Expected>,
) -> Result<Run, Failure> {
    let run = Run {
        schema: SCHEMA,
        run_id: run_id.to_owned(),
        state: State::Incomplete,
        started_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        command,
        git_revision: git_revision(&ctx.root),
        kubedyno_version: env!("CARGO_PKG_VERSION").to_owned(),
        profile: profile.to_owned(),
        fingerprint: Fingerprint::read(),
        expected,
        ..Run::default()
    };
    run_dir.write_json(&run_dir.run_json(), &run)?;
    Ok(run)
}

pub(crate) fn git_revision(root: &Path) -> String {
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").args(args).current_dir(root).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    git(&["describe", "--always", "--dirty", "--abbrev=12"]).unwrap_or_default()
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let file = std::fs::File::options().append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::environment(format!("cannot write {}: {error}", path.display())))
}
