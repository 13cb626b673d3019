//! A program that is taken from PATH or else installed by `cargo`, as cargo-nextest is.

use fs_err as fs;
use rstest::rstest;

use super::{GOOD, Place, cargo, pin, reasons};
use crate::{Pin, Source};

fn tool() -> Pin {
    Pin { cargo: cargo(), on_path: true, ..pin("tool") }
}

#[rstest]
#[case::pinned("v1.2.3", Some(false))]
#[case::newer("v1.10.0", Some(true))]
#[case::older("v1.2.2", None)]
fn one_on_path_will_do_when_it_is_new_enough(#[case] version: &str, #[case] deviates: Option<bool>) {
    let place = Place::new();
    let program = place.script("path/tool", &format!("echo tool version {version}"));

    let result = place.thirdparty(&[tool()]).ensure("tool");

    match deviates {
        Some(deviates) => {
            let found = result.unwrap();
            assert_eq!((found.source, found.path, found.deviates), (Source::Path, program, deviates));
            assert_eq!(found.passed_over.len(), 1, "the explicit path");
        }
        None => {
            let error = result.unwrap_err();
            let why = "[dir]/path/tool says `tool version v1.2.2`, at least v1.2.3 is needed";
            assert_eq!(place.redacted(reasons(&error)[1].1), why);
            assert_eq!(reasons(&error)[3], (Source::CargoInstall, "no cargo on PATH"));
        }
    }
}

#[test]
fn other_programs_are_not_taken_from_path() {
    let place = Place::new();
    place.script("path/tool", GOOD);

    assert_eq!(place.thirdparty(&[pin("tool")]).locate("tool").unwrap(), None);
}

#[test]
fn it_is_installed_into_the_cache() {
    let place = Place::new();
    let record = place.path("cargo-args");
    let script = format!(
        r#"printf '%s\n' "$@" > '{record}'
echo "$CARGO_PROFILE_RELEASE_OPT_LEVEL $CARGO_PROFILE_RELEASE_LTO $CARGO_PROFILE_RELEASE_CODEGEN_UNITS" >> '{record}'
echo "$CARGO_TARGET_DIR" >> '{record}'
echo "   Compiling tool v1.2.3" >&2
while [ "$1" != --root ]; do shift; done
/bin/mkdir -p "$2/bin"
printf '#!/bin/sh\n%s\n' '{GOOD}' > "$2/bin/tool""#,
        record = record.display(),
    );
    place.script("path/cargo", &script);

    let first = place.thirdparty(&[tool()]).ensure("tool").unwrap();
    let second = place.thirdparty(&[tool()]).ensure("tool").unwrap();

    assert_eq!(first.source, Source::CargoInstall);
    assert_eq!((second.source, second.origin), (Source::Cache, Some(Source::CargoInstall)));
    assert!(place.progress.lines().contains(&"tick Compiling tool v1.2.3".to_owned()));
    assert_eq!(place.cached().len(), 2, "only the program and its receipt: {:?}", place.cached());
    let text = place.redacted(&fs::read_to_string(record).unwrap());
    insta::with_settings!({filters => [(r"\.partial-[^/]+", "[partial]")]}, {
        insta::assert_snapshot!(text, @r#"
        install
        tool
        --version
        v1.2.3
        --locked
        --root
        [dir]/cache/tools/tool/[partial]/root
        --no-default-features
        --features
        one,two
        1 off 16
        [dir]/cache/tools/tool/[partial]/target
        "#);
    });
}

#[test]
fn an_install_that_fails_is_told() {
    let place = Place::new();
    place.script("path/cargo", "echo 'error: no such crate' >&2; exit 101");

    let error = place.thirdparty(&[tool()]).ensure("tool").unwrap_err();

    assert_eq!(reasons(&error)[3].1, "it ended with exit status: 101: error: no such crate");
    assert!(error.to_string().contains("fix: install tool v1.2.3 on PATH"), "{error}");
}
