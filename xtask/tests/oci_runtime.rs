//! The OCI runtime for machines without CAP_SYS_RESOURCE, before a runc that only says how it was called.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use rstest::rstest;

/// Calls the runtime in `dir`, and returns what runc was called with.
fn call(dir: &Path, args: &[&str]) -> String {
    let runc = dir.join("runc");
    std::fs::write(&runc, "#!/bin/sh\necho \"$@\"\n").unwrap();
    std::fs::set_permissions(&runc, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.ci/oci-runtime");
    let output = Command::new(runtime).args(args).env("KUBEDYNO_RUNC", runc).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[rstest]
#[case::first(r#"["CAP_SYS_RESOURCE","CAP_KILL"]"#, r#"["CAP_KILL"]"#)]
#[case::middle(r#"["CAP_CHOWN","CAP_SYS_RESOURCE","CAP_KILL"]"#, r#"["CAP_CHOWN","CAP_KILL"]"#)]
#[case::last(r#"["CAP_CHOWN", "CAP_SYS_RESOURCE"]"#, r#"["CAP_CHOWN"]"#)]
#[case::alone(r#"["CAP_SYS_RESOURCE"]"#, "[]")]
#[case::absent(r#"["CAP_CHOWN"]"#, r#"["CAP_CHOWN"]"#)]
fn the_capability_is_taken_off_what_is_run(#[case] before: &str, #[case] after: &str) {
    let spec = |list: &str| format!(r#"{{"process":{{"args":["a \\ b"],"capabilities":{{"bounding":{list}}}}}}}"#);
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("bundle");
    std::fs::create_dir(&bundle).unwrap();
    for args in [
        vec!["--root", "/r", "--log", "create", "create", "--bundle", "bundle", "--pid-file", "p", "id"],
        vec!["--log-format=json", "run", "--bundle=bundle", "id"],
    ] {
        std::fs::write(bundle.join("config.json"), spec(before)).unwrap();
        assert_eq!(call(dir.path(), &args), args.join(" "));
        assert_eq!(std::fs::read_to_string(bundle.join("config.json")).unwrap().trim_end(), spec(after));
    }
    let args = ["exec", "--detach", "--process", "process.json", "id"];
    std::fs::write(dir.path().join("process.json"), spec(before)).unwrap();
    assert_eq!(call(dir.path(), &args), args.join(" "));
    assert_eq!(std::fs::read_to_string(dir.path().join("process.json")).unwrap().trim_end(), spec(after));
}

#[test]
fn what_runs_nothing_is_passed_on() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(call(dir.path(), &["--version"]), "--version");
    assert_eq!(call(dir.path(), &["kill", "id", "KILL"]), "kill id KILL");
}
