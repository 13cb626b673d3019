//! `cargo xtask doctor`: what this machine has and lacks, each lack with its fix.

mod kind;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cluster::PROGRAMS;
use comfy_table::{Table, presets};
use harness::Rows;

use crate::ctx::{CACHE, Ctx, STATE, in_the_way, print, say};
use crate::exit::{Exit, Failure};
use crate::suites::{self, Suite};

/// Free disk that a cold build of all programs and one published row need.
const DISK_GIB: u64 = 6;
/// Memory that a cluster of 1,000 nodes and 10,000 pods with everything beside it needs.
const MEMORY_GIB: u64 = 4;

/// Workers of the largest shape in `kind-configs/`.
const MOST_WORKERS: u32 = 9;

/// One thing that was looked at.
struct Finding {
    what: String,
    found: Result<String, String>,
    fix: String,
}

impl Finding {
    /// What is wrong may have a fix of its own: no Go helps where the user named a program that does not run.
    fn new(what: &str, found: Result<String, String>, fix: &str) -> Self {
        let one_line = |text: &str| text.replace('\n', "; ");
        let (found, fix) = match found {
            Ok(text) => (Ok(text), fix.to_owned()),
            Err(text) => match text.split_once("\nfix: ") {
                Some((why, own)) => (Err(one_line(why)), one_line(own)),
                None => (Err(one_line(&text)), fix.to_owned()),
            },
        };
        Self { what: what.to_owned(), found, fix }
    }
}

pub(crate) fn doctor(ctx: &Ctx) -> Result<Exit, Failure> {
    let findings = examine(ctx);
    print(&show(&findings));
    let lacks = findings.iter().filter(|finding| finding.found.is_err()).count();
    print(&match lacks {
        0 => "\nthe kwok provider can run here".to_owned(),
        n => format!("\nthe kwok provider cannot run here: {n} thing(s) are missing"),
    });
    print("\nthe programs that the suites test:");
    print(&show(&examine_suites(ctx)));
    print("\nthe kind provider needs beside the above:");
    print(&show(&kind::examine(MOST_WORKERS)));
    print("\nand where the published node image cannot be pulled, to build one:");
    print(&show(&kind::examine_building()));
    Ok(if lacks == 0 { Exit::Ok } else { Exit::Environment })
}

/// What a kind cluster of so many workers lacks, each with its fix.
pub(crate) fn lacks_of_kind(workers: u32) -> Vec<String> {
    lacks(kind::examine(workers))
}

/// What the building of a node image lacks, each with its fix.
pub(crate) fn lacks_of_node_image() -> Vec<String> {
    lacks(kind::examine_building())
}

fn lacks(findings: Vec<Finding>) -> Vec<String> {
    let lack = |finding: Finding| finding.found.err().map(|text| format!("{}: {text}; {}", finding.what, finding.fix));
    findings.into_iter().filter_map(lack).collect()
}

fn show(findings: &[Finding]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for finding in findings {
        let (mark, text) = match &finding.found {
            Ok(text) => ("ok", text.clone()),
            Err(text) => ("LACKS", format!("{text}; {}", finding.fix)),
        };
        table.add_row([mark.to_owned(), finding.what.clone(), text]);
    }
    table.trim_fmt()
}

/// What `doctor` says of the things that are missing; printed after an environment error.
pub(crate) fn print_lacks(ctx: &Ctx) {
    for finding in examine(ctx) {
        if let Err(text) = finding.found {
            say(&format!("doctor: {}: {text}; {}", finding.what, finding.fix));
        }
    }
}

fn examine(ctx: &Ctx) -> Vec<Finding> {
    let finding = Finding::new;
    vec![
        finding("Rust", first_line("cargo", &["--version"]), "install Rust 1.91 or newer"),
        finding(
            "rustfmt and clippy",
            rust_components(),
            "rustup component add rustfmt clippy (only `cargo xtask test` needs them)",
        ),
        finding(
            "C linker",
            first_line("cc", &["--version"]),
            "install gcc or clang, for example `apt-get install gcc libc6-dev`",
        ),
        finding("git", first_line("git", &["--version"]), "install git, for example `apt-get install git`"),
        finding(
            "programs",
            programs(ctx),
            "install Go 1.26 or newer, or name a mirror in KUBEDYNO_RELEASE_BASE, or set KUBEDYNO_<PROGRAM> for each",
        ),
        finding("cache", writable(&ctx.cache, CACHE), "make it writable, or set KUBEDYNO_CACHE"),
        finding("state", writable(&ctx.state, STATE), "make it writable, or set KUBEDYNO_STATE"),
        finding("disk", disk(&ctx.cache), "free some space, or set KUBEDYNO_CACHE and KUBEDYNO_STATE to a larger disk"),
        finding("memory", memory(), "close something, or use a larger machine"),
        finding("/proc", proc_readable(), "mount /proc: the observers and the processes' identities come from it"),
    ]
}

fn examine_suites(ctx: &Ctx) -> Vec<Finding> {
    let built = suites::all(ctx).into_iter().filter(|suite| suite.built);
    let finding = |suite: Suite| {
        let fix = "install Go 1.26 or newer (https://go.dev/dl), or run the other suites";
        let found = suites::data(&suite).map_err(|failure| failure.to_string());
        let found = found.and_then(|(_, rows)| Ok(programs_of(ctx, &suite, &rows)? + &absent(&rows)));
        Finding::new(&suite.package, found, fix)
    };
    built.map(finding).collect()
}

fn first_line(program: &str, args: &[&str]) -> Result<String, String> {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        }
        Ok(output) => Err(format!("`{program}` fails ({})", output.status)),
        Err(_) => Err(format!("`{program}` is not on PATH")),
    }
}

fn rust_components() -> Result<String, String> {
    let rustfmt = first_line("cargo", &["fmt", "--version"])?;
    let clippy = first_line("cargo", &["clippy", "--version"])?;
    Ok(format!("{rustfmt}, {clippy}"))
}

/// Every program of a cluster is here, or Go is here to build what is missing, or release hosts may have it.
/// Refuses at once where the clusters' programs cannot be had, before minutes go into other things. No release stands in for
/// Go: that of kwok has no checksums.
pub(crate) fn can_simulate(ctx: &Ctx) -> Result<(), Failure> {
    let kwok = missing(ctx, &["kwok", "kwokctl"]).map_err(Failure::environment)?;
    kwok.into_iter().try_for_each(|name| {
        let lacks = |why| Failure::environment(format!("{name} is missing, and {why}"));
        ctx.thirdparty().can_build(name).map_err(lacks)
    })
}

fn programs(ctx: &Ctx) -> Result<String, String> {
    let missing = missing(ctx, &PROGRAMS)?;
    if missing.is_empty() {
        return Ok("all there".to_owned());
    }
    let needs = missing.iter().find_map(|name| ctx.thirdparty().can_build(name).err());
    needs.map_or_else(
        || Ok(format!("{} to be built or downloaded at first use", missing.join(", "))),
        |needs| Err(format!("{} missing, and {needs}", missing.join(", "))),
    )
}

/// The same of the programs that a suite tests. Their manifests are read from their modules, which takes Go even when
/// the programs are there.
fn programs_of(ctx: &Ctx, suite: &Suite, rows: &Rows) -> Result<String, String> {
    let programs: Vec<&str> = rows.programs().collect();
    if programs.is_empty() {
        return Ok(format!("none beside those of a {} cluster", suite.providers().join(" or ")));
    }
    if let Some(needs) = programs.iter().find_map(|name| ctx.thirdparty().can_build(name).err()) {
        return Err(needs);
    }
    match missing(ctx, &programs)? {
        missing if missing.is_empty() => Ok("all there".to_owned()),
        missing => Ok(format!("{} to be built at first use", missing.join(", "))),
    }
}

/// What no suite's pins name, and how many rows wait for it.
fn absent(rows: &Rows) -> String {
    let mut waiting = BTreeMap::<&str, usize>::new();
    rows.absent().for_each(|(_, needs)| *waiting.entry(needs).or_default() += 1);
    waiting.into_iter().map(|(needs, count)| format!("; {count} rows need {needs}")).collect()
}

fn missing<'a>(ctx: &Ctx, names: &[&'a str]) -> Result<Vec<&'a str>, String> {
    let there = ctx.thirdparty().locate_all(names).map_err(|error| error.to_string())?;
    Ok(names.iter().copied().filter(|name| !there.contains_key(*name)).collect())
}

fn writable(path: &Path, variable: &str) -> Result<String, String> {
    if let Some((what, fix)) = in_the_way(path, variable) {
        return Err(format!("{what}\nfix: {fix}"));
    }
    let probe = path.join(format!(".tmp-probe-{}", std::process::id()));
    let written = std::fs::create_dir_all(path).and_then(|()| std::fs::write(&probe, b""));
    std::fs::remove_file(&probe).ok();
    written.map(|()| path.display().to_string()).map_err(|error| format!("cannot write in {}: {error}", path.display()))
}

fn disk(path: &Path) -> Result<String, String> {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let stat = rustix::fs::statvfs(there).map_err(|error| error.to_string())?;
    let gib = (stat.f_bavail * stat.f_frsize) >> 30;
    let text = format!("{gib} GiB free at {}", there.display());
    if gib >= DISK_GIB { Ok(text) } else { Err(format!("{text}, {DISK_GIB} are needed for a cold build")) }
}

fn memory() -> Result<String, String> {
    let text = std::fs::read_to_string("/proc/meminfo").map_err(|error| error.to_string())?;
    let available = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib: u64 = available
        .and_then(|text| text.split_ascii_whitespace().next()?.parse().ok())
        .ok_or("/proc/meminfo has no MemAvailable")?;
    let text = format!("{} GiB available", kib >> 20);
    if kib >> 20 >= MEMORY_GIB { Ok(text) } else { Err(format!("{text}, published rows need {MEMORY_GIB}")) }
}

fn proc_readable() -> Result<String, String> {
    std::fs::read_to_string("/proc/self/schedstat")
        .map(|_| "readable, with schedstat".to_owned())
        .map_err(|error| format!("/proc/self/schedstat: {error}"))
}
