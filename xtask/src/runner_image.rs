//! `cargo xtask runner-image`: kperf as one static program, in an image.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nodeimage::RunnerImage;
use serde_json::Value;

use crate::cli::RunnerImageArgs;
use crate::ctx::{Ctx, print, print_json, say};
use crate::exit::{Exit, Failure};
use crate::nextest::of_no_package;

/// What makes kperf static. The C library of this machine goes into it, so that no other target has to be installed, and only the
/// program itself is built again: whether a crate is linked statically is decided when the program is.
const STATIC: [&str; 4] = ["-C", "target-feature=+crt-static", "-C", "strip=debuginfo"];

pub(crate) fn runner_image(ctx: &Ctx, args: &RunnerImageArgs) -> Result<Exit, Failure> {
    let image = made(ctx, args.release)?;
    if args.json {
        print_json(&image);
        return Ok(Exit::Ok);
    }
    let (reference, archive) = (&image.reference, image.archive.display());
    print(&format!("{reference}\n{archive}"));
    say(&format!(
        "  kind load image-archive {archive} --name CLUSTER\n  docker load --input {archive}    and docker tag, docker push for a \
         registry\n  kperf rg run --runner-image={reference} --runnergroup=file://…"
    ));
    Ok(Exit::Ok)
}

/// The image of this checkout's kperf, built now.
pub(crate) fn made(ctx: &Ctx, release: bool) -> Result<RunnerImage, Failure> {
    say("kperf: building its runner for an image");
    let program = match built(ctx, release, &STATIC) {
        Ok(program) => program,
        Err(_) => {
            say(
                "it cannot be linked statically (the static C library is in libc6-dev or glibc-static): the image gets the \
                 libraries that it needs instead",
            );
            built(ctx, release, &STATIC[2..])?
        }
    };
    Ok(nodeimage::runner_image(&program, &program.with_file_name("runner-image"))?)
}

/// The program as cargo says where it is.
fn built(ctx: &Ctx, release: bool, flags: &[&str]) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = of_no_package(Path::new(&cargo));
    command.args(["rustc", "--locked", "--package", "kperf", "--bin", "kperf"]);
    command.args(["--message-format", "json-render-diagnostics"]).args(release.then_some("--release"));
    command.arg("--").args(flags).current_dir(&ctx.root).stdin(Stdio::null()).stderr(Stdio::inherit());
    let failed = |why: String| Failure::environment(format!("kperf cannot be built: {why}"));
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(output.status.to_string()));
    }
    let executable = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(executable).next_back().ok_or_else(|| failed("cargo names no program".to_owned()))
}
