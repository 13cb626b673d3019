//! `cargo xtask test`: everything that checks this repository itself.

mod shown;

use std::time::Instant;

use measure::human;

use crate::cli::TestArgs;
use crate::ctx::{Ctx, say};
use crate::exit::{Exit, Failure};
use crate::kind;
use crate::lock::one_run_at_a_time;
use crate::nextest::of_no_package;

pub(crate) async fn test(ctx: &Ctx, args: &TestArgs) -> Result<Exit, Failure> {
    let thirdparty = ctx.thirdparty();
    let nextest = thirdparty.ensure("cargo-nextest")?.path.display().to_string();
    if !args.no_cluster {
        // Before the lints, so that what takes longest on a fresh machine is seen first.
        thirdparty.ensure_all(&cluster::PROGRAMS)?;
    }
    let _lock = one_run_at_a_time(ctx, "test", "cargo xtask test")?;
    let check = |name: &str, program: &str, words: &str| step(ctx, name, program, words);
    let mut passed = check("format", "cargo", "fmt --all --check")
        && check("lints", "cargo", "clippy --workspace --all-targets --locked -- -D warnings")
        && check("build", &nextest, "nextest run --workspace --locked --no-run")
        && check("unit and golden tests", &nextest, "nextest run --workspace --locked -E not(binary(kwok))");
    if passed && !args.no_cluster {
        // Alone, one after the other: nothing else may run beside what measures.
        passed = check(
            "rows on a kwok cluster",
            &nextest,
            "nextest run --workspace --locked --no-fail-fast -E binary(kwok)",
        );
    }
    if passed && args.nightly {
        let deny = thirdparty.ensure("cargo-deny")?.path.display().to_string();
        // Known vulnerabilities are in a database of their own, which is not reachable wherever the crates are.
        passed = check("dependencies", &deny, "deny --locked check bans licenses sources")
            && check(
                "every disturbed row, fault rows and soaks",
                &nextest,
                "nextest run --workspace --locked --no-fail-fast --profile nightly -E binary(kwok)",
            );
    }
    if passed && args.nightly {
        say("==> every budget can be missed");
        passed = shown::every_budget(ctx, "kwok")?;
    }
    if passed && !args.no_cluster {
        let mut lacks = kind::lacks(ctx)?;
        if !rustix::process::geteuid().is_root() {
            lacks.push("root, because disturbed rows signal the processes of nodes".to_owned());
        }
        passed = match lacks.is_empty() {
            true => {
                check(
                    "rows on a kind cluster",
                    &nextest,
                    "nextest run --workspace --locked --no-fail-fast --profile kind",
                ) && shown::every_budget(ctx, "kind")?
                    && (!args.nightly
                        || check(
                            "fault rows on a kind cluster",
                            &nextest,
                            "nextest run --workspace --locked --no-fail-fast --profile nightly-kind",
                        ))
            }
            false => {
                say(&format!(
                    "==> rows on a kind cluster: NOT RUN, which is no pass: this machine lacks {}",
                    lacks.join("; ")
                ));
                true
            }
        };
    }
    Ok(if passed { Exit::Ok } else { Exit::CheckFailed })
}

fn step(ctx: &Ctx, name: &str, program: &str, words: &str) -> bool {
    say(&format!("==> {name}: cargo {words}"));
    let started = Instant::now();
    let status = of_no_package(program.as_ref()).args(words.split(' ')).current_dir(&ctx.root).status();
    let took = human(started.elapsed());
    match &status {
        Ok(status) if status.success() => say(&format!("==> {name}: ok, {took}")),
        Ok(status) => say(&format!("==> {name}: FAILED ({status}), {took}")),
        Err(error) => say(&format!("==> {name}: cannot start {program}: {error}")),
    }
    status.is_ok_and(|status| status.success())
}
