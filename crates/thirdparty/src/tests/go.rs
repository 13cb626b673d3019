//! Builds from Go modules, by a scripted `go`.

use fs_err as fs;
use rstest::rstest;

use super::{GOOD, Place, go, pin, reasons, release};
use crate::{Pin, Source};

fn tool() -> Pin {
    Pin { go: go(), ..pin("tool") }
}

/// Puts a `go` on the PATH of a place, and a module where it builds. The program that it "builds" has this body.
pub(super) fn install(place: &Place, version: &str, toolchain: &str, body: &str) {
    fs::write(place.path("modules/group/go.mod"), "module example.com/pins\n\ngo 1.26.0\n").unwrap();
    let (args, env) = (place.path("go-args"), place.path("go-env"));
    let script = format!(
        r#"case "$1" in
env) echo {version}; echo {toolchain} ;;
list) echo "/modules/$5" ;;
build)
    printf '%s\n' "$@" > '{args}'
    echo "$PWD CGO_ENABLED=$CGO_ENABLED GOWORK=$GOWORK GOOS=$GOOS GOPROXY=$GOPROXY" > '{env}'
    [ -d "$GOTMPDIR" ] && echo "$GOTMPDIR" > '{tmp}'
    echo "go: downloading example.com/library v1.0.0" >&2
    echo "example.com/library" >&2
    echo "example.com/tool/cmd/tool" >&2
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\n%s\n' '{body}' > "$2" ;;
esac"#,
        args = args.display(),
        env = env.display(),
        tmp = place.path("go-tmp").display(),
    );
    place.script("path/go", &script);
}

#[test]
fn a_program_is_built_with_the_flags_of_its_group() {
    let place = Place::new().set("GOOS", "plan9").set("GOPROXY", "https://proxy");
    install(&place, "go1.26.8", "local", GOOD);

    let built = place.thirdparty(&[tool()]).ensure("tool").unwrap();

    assert_eq!((built.source, built.version.as_str()), (Source::GoModules, "tool version v1.2.3"));
    let args = fs::read_to_string(place.path("go-args")).unwrap();
    let args: Vec<_> = args.lines().collect();
    let flags = ["build", "-v", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X example.com/tool.Version=v1.2.3"];
    assert_eq!(args[..6], flags);
    assert_eq!((args[6], args[8]), ("-o", "example.com/tool/cmd/tool"));
    assert!(place.redacted(args[7]).starts_with("[dir]/cache/tools/tool/.partial-"), "{}", args[7]);
    let temporary = place.redacted(&fs::read_to_string(place.path("go-tmp")).unwrap());
    assert!(temporary.starts_with("[dir]/cache/tools/tool/.partial-"), "{temporary}");
    insta::assert_snapshot!(
        place.redacted(&fs::read_to_string(place.path("go-env")).unwrap()),
        @r#"
        [dir]/modules/group CGO_ENABLED=0 GOWORK=off GOOS= GOPROXY=https://proxy
        "#
    );
}

#[test]
fn the_module_of_a_program_is_where_go_says() {
    let place = Place::new();
    install(&place, "go1.26.8", "local", GOOD);
    let module = place.thirdparty(&[tool()]).module("tool").unwrap();
    assert_eq!(module.display().to_string(), "/modules/example.com/tool/cmd/tool");
    let error = place.thirdparty(&[pin("tool")]).module("tool").unwrap_err().to_string();
    assert!(error.contains("the Go module of tool v1.2.3 is not to be found: none is pinned"), "{error}");
}

#[test]
fn a_build_shows_what_it_is_at() {
    let place = Place::new();
    install(&place, "go1.26.8", "local", GOOD);

    place.thirdparty(&[tool()]).ensure("tool").unwrap();

    insta::assert_snapshot!(place.redacted(&place.progress.lines().join("\n")), @r#"
    start tool v1.2.3 from [dir]/modules/group, the first build takes minutes
    tick go: downloading example.com/library v1.0.0
    tick 1 packages compiled, at example.com/library
    tick 2 packages compiled, at example.com/tool/cmd/tool
    done tool v1.2.3: go modules, tool version v1.2.3
    "#);
}

#[rstest]
#[case::too_old(
    "go1.22.2",
    "local",
    Some("[dir]/path/go is go1.22.2, Go >= 1.26.0 is needed, GOTOOLCHAIN=local forbids fetching it")
)]
#[case::before_toolchains(
    "go1.20",
    "",
    Some("[dir]/path/go is go1.20, Go >= 1.26.0 is needed, GOTOOLCHAIN=local forbids fetching it")
)]
#[case::pinned_by_the_user(
    "go1.25.1",
    "go1.25.1",
    Some("[dir]/path/go is go1.25.1, Go >= 1.26.0 is needed, GOTOOLCHAIN=go1.25.1 forbids fetching it")
)]
#[case::may_fetch_a_newer_one("go1.22.2", "auto", None)]
#[case::may_fetch_from_a_floor("go1.22.2", "go1.22.2+auto", None)]
#[case::just_new_enough("go1.26.0", "local", None)]
#[case::newer("go1.30", "local", None)]
fn go_must_be_new_enough(#[case] version: &str, #[case] toolchain: &str, #[case] why: Option<&str>) {
    let place = Place::new();
    install(&place, version, toolchain, GOOD);

    let result = place.thirdparty(&[tool()]).ensure("tool");

    match why {
        None => assert_eq!(result.unwrap().source, Source::GoModules),
        Some(why) => {
            let error = result.unwrap_err();
            assert_eq!(place.redacted(reasons(&error)[2].1), why);
            assert!(
                error.to_string().contains("fix: install Go >= 1.26.0 (https://go.dev/dl), or set GOTOOLCHAIN=auto")
            );
        }
    }
}

#[rstest]
#[case::another_version(
    "echo tool version v1.2.2",
    "what it gave is not to be used: it says `tool version v1.2.2`, not "
)]
#[case::does_not_start("exit 127", "what it gave is not to be used: `tool version` ended with exit status: 127: ")]
fn a_build_must_give_the_pinned_version(#[case] body: &str, #[case] why: &str) {
    let place = Place::new();
    install(&place, "go1.26.8", "local", body);

    let error = place.thirdparty(&[tool()]).ensure("tool").unwrap_err();

    assert!(reasons(&error)[2].1.starts_with(why), "{error}");
    assert!(place.cached().is_empty(), "{:?}", place.cached());
}

#[test]
fn a_build_that_fails_is_told_with_the_last_that_go_said() {
    let place = Place::new();
    install(&place, "go1.26.8", "local", GOOD);
    place.script(
        "path/go",
        "if [ $1 = env ]; then echo go1.26.8; else echo 'example.com/a' >&2; echo 'a.go:1: no such thing' >&2; exit 1; fi",
    );

    let error = place.thirdparty(&[tool()]).ensure("tool").unwrap_err();

    insta::assert_snapshot!(place.redacted(reasons(&error)[2].1), @r#"
    `go build` in [dir]/modules/group ended with exit status: 1: a.go:1: no such thing
    "#);
}

#[test]
fn when_everything_fails_the_error_says_what_was_tried_and_what_to_do() {
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", "off");
    fs::write(place.path("modules/group/go.mod"), "go 1.26.0\n").unwrap();
    let tool = Pin { release: release("https://host/tool"), ..tool() };

    let error = place.thirdparty(&[tool]).ensure("tool").unwrap_err();

    let text = place.redacted(&error.to_string());
    insta::with_settings!({filters => [("-[0-9a-f]{8}\n", "-[hash]\n")]}, {
        insta::assert_snapshot!(text, @r#"
        could not get tool v1.2.3
          explicit: KUBEDYNO_TOOL is not set
          cache: nothing at [dir]/cache/tools/tool/v1.2.3-[platform]-[hash]
          release: KUBEDYNO_RELEASE_BASE=off
          go modules: no go on PATH, Go >= 1.26.0 is needed
        fix: unset KUBEDYNO_RELEASE_BASE, or install Go >= 1.26.0 (https://go.dev/dl), or set KUBEDYNO_TOOL=/path/to/tool
        "#);
    });
}

#[test]
fn without_its_module_there_is_no_build() {
    let error = Place::new().thirdparty(&[tool()]).ensure("tool").unwrap_err();

    assert!(reasons(&error)[2].1.starts_with("no module: failed to open file"), "{error}");
}
