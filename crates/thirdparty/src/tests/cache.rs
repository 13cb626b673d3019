//! The cache: what is trusted, what is thrown away, what a kill leaves behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use fs_err as fs;
use rstest::rstest;

use super::{GOOD, Place, go, pin};
use crate::{Pin, Program, Source, sweep_partials};

/// A tool that a scripted `go` builds, so that it can be got again.
fn tool() -> Pin {
    Pin { go: go(), ..pin("tool") }
}

/// A place where the tool has been got.
fn filled() -> (Place, Program) {
    let place = Place::new();
    super::go::install(&place, "go1.26.8", "local", GOOD);
    let program = place.thirdparty(&[tool()]).ensure("tool").unwrap();
    assert_eq!(program.source, Source::GoModules);
    (place, program)
}

fn set_mtime(path: &Path, time: SystemTime) {
    fs::OpenOptions::new().write(true).open(path).unwrap().file().set_modified(time).unwrap();
}

#[test]
fn a_hit_needs_nothing_else() {
    let (place, program) = filled();
    let directory = program.path.parent().unwrap().to_owned();
    // Neither go nor a program on PATH: what is cached is not even run.
    let place = place.set("PATH", "");
    let told = place.progress.lines().len();

    for thirdparty in [place.thirdparty(&[tool()]), place.thirdparty(&[tool()]).verify(true)] {
        let hit = thirdparty.ensure("tool").unwrap();
        assert_eq!((hit.source, hit.origin), (Source::Cache, Some(Source::GoModules)));
        assert_eq!(hit.path, program.path);
        assert_eq!(thirdparty.locate("tool").unwrap(), Some(hit));
    }

    assert_eq!(place.progress.lines().len(), told, "a hit is silent");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["receipt.json", "tool"]);
}

#[rstest]
#[case::content(|p: &Path| fs::write(p, "#!/bin/sh\nexec evil\n").unwrap(), "its sha256 is ")]
#[case::gone(|p: &Path| fs::remove_file(p).unwrap(), "No such file")]
#[case::no_receipt(|p: &Path| fs::remove_file(p.with_file_name("receipt.json")).unwrap(), "no usable receipt: ")]
#[case::half_a_receipt(
    |p: &Path| fs::write(p.with_file_name("receipt.json"), "{\"source\":").unwrap(),
    "no usable receipt: "
)]
#[case::not_executable(
    |p: &Path| fs::set_permissions(p, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap(),
    "not an executable file"
)]
fn an_entry_that_was_tampered_with_is_thrown_away(#[case] tamper: fn(&Path), #[case] why: &str) {
    let (place, program) = filled();
    tamper(&program.path);
    let thirdparty = place.thirdparty(&[tool()]);
    assert_eq!(thirdparty.locate("tool").unwrap(), None, "it is not shown as there");

    let again = thirdparty.ensure("tool").unwrap();

    assert_eq!(again.source, Source::GoModules);
    let thrown = again.passed_over.iter().find(|attempt| attempt.source == Source::Cache).unwrap();
    assert!(thrown.why.contains(" away: ") && thrown.why.contains(why), "{}", thrown.why);
    assert_eq!(thirdparty.ensure("tool").unwrap().sha256, program.sha256);
    assert_eq!(place.cached().len(), 2);
}

#[test]
fn a_change_that_keeps_size_and_time_is_found_by_verifying() {
    let (place, program) = filled();
    let time = fs::metadata(&program.path).unwrap().modified().unwrap();
    let text = fs::read_to_string(&program.path).unwrap();
    fs::write(&program.path, text.replace("echo", "ECHO")).unwrap();
    set_mtime(&program.path, time);

    assert_eq!(place.thirdparty(&[tool()]).ensure("tool").unwrap().source, Source::Cache);
    assert_eq!(place.thirdparty(&[tool()]).verify(true).ensure("tool").unwrap().source, Source::GoModules);
}

#[test]
fn another_time_alone_is_forgiven_and_learned() {
    let (place, program) = filled();
    let receipt = program.path.with_file_name("receipt.json");
    let before = fs::read_to_string(&receipt).unwrap();
    set_mtime(&program.path, SystemTime::UNIX_EPOCH);

    assert_eq!(place.thirdparty(&[tool()]).ensure("tool").unwrap().source, Source::Cache);

    let after = fs::read_to_string(&receipt).unwrap();
    assert_ne!(before, after);
    assert!(after.contains("\"mtime_ns\": 0"), "{after}");
}

#[rstest]
#[case::pin(true, false)]
#[case::library(false, true)]
fn another_pin_or_library_is_another_entry(#[case] other_pin: bool, #[case] other_library: bool) {
    let (place, program) = filled();
    let mut tool = tool();
    if other_pin {
        tool.ask.push("--short".to_owned());
    }
    if other_library {
        fs::write(place.path("modules/group/go.sum"), "example.com/library v1.0.1").unwrap();
    }

    let other = place.thirdparty(&[tool]).ensure("tool").unwrap();

    assert_eq!(other.source, Source::GoModules);
    assert_ne!(other.path, program.path);
    assert!(program.path.exists());
}

#[test]
fn a_receipt_that_says_where_the_program_was_built_tells_its_version_without() {
    let (place, program) = filled();
    let receipt = program.path.with_file_name("receipt.json");
    let text = fs::read_to_string(&receipt).unwrap();
    let built = "/cache/tools/tool/.partial-7-Xy12/tool version v1.2.3";
    fs::write(&receipt, text.replace("tool version v1.2.3", built)).unwrap();

    assert!(fs::read_to_string(&receipt).unwrap().contains(built));
    assert_eq!(place.thirdparty(&[tool()]).locate("tool").unwrap().unwrap().version, "tool version v1.2.3");
}

#[test]
fn what_a_kill_left_behind_is_not_used_and_is_swept() {
    let (place, program) = filled();
    let tools = program.path.parent().unwrap().parent().unwrap().to_owned();
    fs::remove_dir_all(program.path.parent().unwrap()).unwrap();
    let partial = |pid: u32| {
        let directory = tools.join(format!(".partial-{pid}-Xy12"));
        fs::create_dir_all(directory.join("entry")).unwrap();
        fs::write(directory.join("entry/tool"), "half a pro").unwrap();
        directory
    };
    let (dead, alive) = (partial(ended_process()), partial(std::process::id()));

    assert_eq!(place.thirdparty(&[tool()]).locate("tool").unwrap(), None);
    assert_eq!(place.thirdparty(&[tool()]).ensure("tool").unwrap().source, Source::GoModules);
    assert_eq!(sweep_partials(&place.cache()).unwrap(), [dead.as_path()]);
    assert!(!dead.exists() && alive.exists());
    assert_eq!(place.thirdparty(&[tool()]).ensure("tool").unwrap().source, Source::Cache);
}

#[test]
fn a_cache_that_is_not_there_is_swept_too() {
    assert_eq!(sweep_partials(Path::new("/nowhere/at/all")).unwrap(), Vec::<PathBuf>::new());
}

/// The id of a process that is no more.
fn ended_process() -> u32 {
    let mut child = Command::new("/bin/sh").args(["-c", ":"]).spawn().unwrap();
    child.wait().unwrap();
    child.id()
}
