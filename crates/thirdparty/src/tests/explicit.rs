//! The path that the user names.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use fs_err as fs;
use rstest::rstest;

use super::server::Server;
use super::{GOOD, Place, pin, release};
use crate::{Error, Pin, Source};

#[rstest]
#[case::the_pinned_version(GOOD, "tool version v1.2.3", false)]
#[case::another_version("echo tool version v9; echo more", "tool version v9", true)]
#[case::on_stderr("echo tool version v1.2.3 >&2", "tool version v1.2.3", false)]
fn an_explicit_program_is_used_and_its_version_recorded(
    #[case] body: &str,
    #[case] version: &str,
    #[case] deviates: bool,
) {
    let place = Place::new();
    let program = place.script("mine", body);
    let place = place.set("KUBEDYNO_KUBE_TOOL", program.display());

    let found = place.thirdparty(&[pin("kube-tool")]).ensure("kube-tool").unwrap();

    assert_eq!((found.source, found.path), (Source::Explicit, program));
    assert_eq!((found.version.as_str(), found.deviates), (version, deviates));
    assert_eq!(found.pinned_version, "v1.2.3");
    assert_eq!(found.sha256.len(), 64);
    assert!(place.cached().is_empty());
}

#[rstest]
#[case::found(
    "printf 'x: go1.26.8\\n\\tmod\\ttool version\\tv1.2.3\\th1:a=\\n'",
    "mod tool version v1.2.3 h1:a=",
    false
)]
#[case::another("printf 'x: go1.26.8\\n\\tmod\\ttool version\\t(devel)\\n'", "x: go1.26.8", true)]
fn the_version_of_a_program_that_does_not_tell_it_is_asked_of_another(
    #[case] body: &str,
    #[case] version: &str,
    #[case] deviates: bool,
) {
    let place = Place::new();
    place.script("path/teller", &format!("[ \"$1 ${{2##*/}}\" = 'version mine' ] && {body}"));
    let program = place.script("mine", "exit 1");
    let place = place.set("KUBEDYNO_TOOL", program.display());
    let tool = Pin { by: Some("teller".to_owned()), expect: "tool version\tv1.2.3".to_owned(), ..pin("tool") };

    let found = place.thirdparty(std::slice::from_ref(&tool)).ensure("tool").unwrap();

    assert_eq!((found.version.as_str(), found.deviates), (version, deviates));
    fs::remove_file(place.path("path/teller")).unwrap();
    let error = place.thirdparty(&[tool]).ensure("tool").unwrap_err().to_string();
    assert!(error.contains("there is no `teller` on PATH"), "{error}");
}

#[rstest]
#[case::missing(None, "No such file or directory")]
#[case::not_executable(Some(0o644), "it is not an executable file")]
fn an_explicit_path_that_is_wrong_is_an_error(#[case] mode: Option<u32>, #[case] why: &str) {
    let place = Place::new();
    if let Some(mode) = mode {
        fs::set_permissions(place.script("mine", GOOD), Permissions::from_mode(mode)).unwrap();
    }
    // A good one elsewhere is not taken instead.
    place.script("path/tool", GOOD);
    let mine = place.path("mine");
    let place = place.set("KUBEDYNO_TOOL", mine.display());
    let tool = Pin { on_path: true, ..pin("tool") };

    let error = place.thirdparty(&[tool]).ensure("tool").unwrap_err().to_string();

    assert!(error.starts_with(&format!("KUBEDYNO_TOOL={}: ", mine.display())), "{error}");
    assert!(error.contains(why), "{error}");
    assert!(error.ends_with("fix: name an executable tool, or unset KUBEDYNO_TOOL"), "{error}");
}

#[rstest]
#[case::fails("echo unknown command >&2; exit 3", 20_000, "`tool version` ended with exit status: 3: unknown command")]
#[case::hangs("exec /bin/sleep 60", 150, "`tool version` gave no answer in 150ms")]
fn an_explicit_program_must_tell_its_version(#[case] body: &str, #[case] limit_ms: u64, #[case] why: &str) {
    let mut place = Place::new();
    place.limits.version = Duration::from_millis(limit_ms);
    let program = place.script("mine", body);
    let place = place.set("KUBEDYNO_TOOL", program.display());

    let error = place.thirdparty(&[pin("tool")]).ensure("tool").unwrap_err().to_string();

    assert!(error.contains(why), "{error}");
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let place = Place::new().set("KUBEDYNO_TOOL", "");

    assert_eq!(place.thirdparty(&[pin("tool")]).locate("tool").unwrap(), None);
}

#[test]
fn a_wrong_explicit_path_is_told_before_anything_is_got() {
    let server = Server::start([]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base).set("KUBEDYNO_SECOND", "/nowhere");
    let first = Pin { release: release("https://host/first"), ..pin("first") };

    let error = place.thirdparty(&[first, pin("second")]).ensure_all(&["first", "second"]).unwrap_err();

    assert!(matches!(error, Error::Explicit { ref name, .. } if name == "second"), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn an_unknown_name_is_told_with_the_known_ones() {
    let error = Place::new().thirdparty(&[pin("one"), pin("two")]).ensure("three").unwrap_err();

    assert_eq!(error.to_string(), "no pinned program is named `three`; there are one, two");
}
