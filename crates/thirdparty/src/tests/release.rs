//! Downloads from the projects' release hosts.

use std::io::Write;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use fs_err as fs;
use rstest::rstest;

use super::server::{Answer, Gate, Server};
use super::{GOOD, Place, pin, program, reasons, release};
use crate::digest::Hashed;
use crate::{Pin, Source};

const URL: &str = "https://host/v1/tool";

fn tool() -> Pin {
    Pin { release: release(URL), ..pin("tool") }
}

fn sha256(bytes: &[u8]) -> String {
    let mut hashed = Hashed::new(std::io::sink());
    hashed.write_all(bytes).unwrap();
    hashed.hex()
}

fn good() -> Answer {
    Answer::Body(program(GOOD))
}

fn checksum_of(body: &[u8]) -> Answer {
    Answer::Body(sha256(body).into_bytes())
}

#[test]
fn a_release_is_downloaded_once_and_then_cached() {
    let server = Server::start([("/v1/tool", good()), ("/v1/tool.sha256", checksum_of(&program(GOOD)))]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);

    let first = place.thirdparty(&[tool()]).ensure("tool").unwrap();
    let second = place.thirdparty(&[tool()]).ensure("tool").unwrap();

    assert_eq!((first.source, first.origin), (Source::Release, None));
    assert_eq!(first.passed_over.iter().map(|a| a.source).collect::<Vec<_>>(), [Source::Explicit, Source::Cache]);
    assert_eq!((first.version.as_str(), first.deviates), ("tool version v1.2.3", false));
    assert_eq!(first.sha256, sha256(&program(GOOD)));
    assert_eq!((second.source, second.origin), (Source::Cache, Some(Source::Release)));
    assert_eq!((&second.path, &second.sha256), (&first.path, &first.sha256));
    assert_eq!(server.requests(), ["/v1/tool.sha256", "/v1/tool"]);
}

#[rstest]
#[case::wrong_checksum(good(), checksum_of(b"another"), "the sha256 of [base]/v1/tool is ")]
#[case::truncated_body(Answer::Half(program(GOOD)), checksum_of(&program(GOOD)), "[base]/v1/tool broke off after 1")]
#[case::no_file(Answer::Status(404), checksum_of(&program(GOOD)), "[base]/v1/tool gives status 404")]
#[case::no_checksum(good(), Answer::Status(404), "[base]/v1/tool.sha256 gives status 404")]
#[case::no_digest_in_it(good(), Answer::Body(b"<html>".to_vec()), "[base]/v1/tool.sha256 has no sha256 of tool")]
#[case::slow_server(
    Answer::Stall(program(GOOD)),
    checksum_of(&program(GOOD)),
    "[base]/v1/tool has stalled: no byte for 200ms after 1"
)]
#[case::another_version(
    Answer::Body(program("echo tool version v1.2.30")),
    checksum_of(&program("echo tool version v1.2.30")),
    "what it gave is not to be used: it says `tool version v1.2.30`, not `tool version v1.2.3`"
)]
#[case::no_program(
    Answer::Body(program("exit 1")),
    checksum_of(&program("exit 1")),
    "what it gave is not to be used: `tool version` ended with exit status: 1: (no output)"
)]
fn a_bad_release_is_passed_over(#[case] file: Answer, #[case] checksum: Answer, #[case] why: &str) {
    let server = Server::start([("/v1/tool", file), ("/v1/tool.sha256", checksum)]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);

    let error = place.thirdparty(&[tool()]).ensure("tool").unwrap_err();

    let (source, reason) = reasons(&error)[2];
    let reason = reason.replace(&server.base, "[base]");
    assert_eq!(source, Source::Release);
    assert!(reason.starts_with(why), "{reason}");
    assert!(place.cached().is_empty(), "{:?}", place.cached());
}

#[rstest]
#[case::turned_off("off", "KUBEDYNO_RELEASE_BASE=off", "unset KUBEDYNO_RELEASE_BASE, or ")]
#[case::no_url(
    "mirror",
    "KUBEDYNO_RELEASE_BASE=mirror is neither an http(s) URL nor `off`",
    "correct KUBEDYNO_RELEASE_BASE, or "
)]
fn a_base_can_turn_releases_off(#[case] base: &str, #[case] why: &str, #[case] fix: &str) {
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", base);

    let error = place.thirdparty(&[tool()]).ensure("tool").unwrap_err();

    assert_eq!(reasons(&error)[2], (Source::Release, why));
    assert!(error.to_string().contains(&format!("fix: {fix}set KUBEDYNO_TOOL=")), "{error}");
}

#[test]
fn nothing_is_downloaded_that_cannot_be_verified() {
    let server = Server::start([("/v1/tool", good())]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);
    let mut tool = tool();
    tool.release.as_mut().unwrap().checksums = None;

    let error = place.thirdparty(&[tool]).ensure("tool").unwrap_err();

    let why = "the project publishes no checksum and pins.toml has none, and nothing unverified is used";
    assert_eq!(reasons(&error)[2], (Source::Release, why));
    assert!(server.requests().is_empty());
}

#[test]
fn a_platform_without_a_release_is_passed_over() {
    let mut tool = tool();
    tool.release.as_mut().unwrap().platforms = vec!["plan9-mips".to_owned()];

    let error = Place::new().thirdparty(&[tool]).ensure("tool").unwrap_err();

    assert!(reasons(&error)[2].1.starts_with("there is none for "), "{error}");
}

#[rstest]
#[case::right(sha256(&program(GOOD)), None)]
#[case::in_capitals(sha256(&program(GOOD)).to_uppercase(), None)]
#[case::wrong(sha256(b"another"), Some("and pins.toml says"))]
fn a_pinned_checksum_goes_before_the_published_one(#[case] pinned: String, #[case] why: Option<&str>) {
    let server = Server::start([("/v1/tool", good())]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);
    let mut tool = tool();
    let release = tool.release.as_mut().unwrap();
    release.sha256.insert(release.platforms[0].clone(), pinned);

    let result = place.thirdparty(&[tool]).ensure("tool");

    assert_eq!(server.requests(), ["/v1/tool"]);
    match (result, why) {
        (Ok(found), None) => assert_eq!(found.source, Source::Release),
        (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{error}"),
        (result, _) => panic!("{result:?}"),
    }
}

#[test]
fn several_programs_come_out_of_one_archive() {
    let archive = tar_gz(&[
        ("tool-v1/README", b"not a program"),
        ("tool-v1/one", &program(GOOD)),
        ("tool-v1/two", &program(&format!("{GOOD}; echo two"))),
    ]);
    let sums = format!("{}  other.tar.gz\n{}  tool.tar.gz\n", sha256(b"other"), sha256(&archive));
    let server =
        Server::start([("/v1/tool.tar.gz", Answer::Body(archive)), ("/v1/SHA256SUMS", Answer::Body(sums.into()))]);
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);
    let pins = ["one", "two", "three"].map(|name| {
        let mut pin = Pin { release: release("https://host/v1/tool.tar.gz"), ..pin(name) };
        let release = pin.release.as_mut().unwrap();
        release.checksums = Some("https://host/v1/SHA256SUMS".to_owned());
        release.member = Some(format!("tool-v1/{name}"));
        pin
    });
    let thirdparty = place.thirdparty(&pins);

    let found = thirdparty.ensure_all(&["one", "two"]).unwrap();
    let error = thirdparty.ensure("three").unwrap_err();

    assert_eq!(fs::read(&found["one"].path).unwrap(), program(GOOD));
    assert_eq!(fs::read(&found["two"].path).unwrap(), program(&format!("{GOOD}; echo two")));
    assert!(reasons(&error)[2].1.ends_with("tool.tar.gz has no tool-v1/three in it"), "{error}");
    assert_eq!(server.requests().iter().filter(|path| *path == "/v1/tool.tar.gz").count(), 1);
}

#[test]
fn two_callers_at_once_get_it_once() {
    let gate = Arc::new(Gate::default());
    let server = Server::start([
        ("/v1/tool", Answer::Gated(program(GOOD), Arc::clone(&gate))),
        ("/v1/tool.sha256", checksum_of(&program(GOOD))),
    ]);
    let mut place = Place::new().set("KUBEDYNO_RELEASE_BASE", &server.base);
    // The gate opens when the second caller waits, however long that takes on a busy machine.
    place.limits.stall = Duration::from_secs(60);
    let waiting = format!("start tool v1.2.3 from process {}, which has been getting it since ", std::process::id());

    let mut sources = thread::scope(|scope| {
        let callers = [(); 2].map(|()| scope.spawn(|| place.thirdparty(&[tool()]).ensure("tool").unwrap().source));
        until(|| place.progress.lines().iter().any(|line| line.starts_with(&waiting)));
        gate.open();
        callers.map(|caller| caller.join().unwrap())
    });

    sources.sort_by_key(ToString::to_string);
    assert_eq!(sources, [Source::Cache, Source::Release]);
    assert_eq!(server.requests(), ["/v1/tool.sha256", "/v1/tool"]);
}

#[test]
fn a_host_that_is_not_there_is_asked_once() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let place = Place::new().set("KUBEDYNO_RELEASE_BASE", format!("http://{address}"));
    let thirdparty = place.thirdparty(&[tool()]);

    let [first, second] = [(); 2].map(|()| thirdparty.ensure("tool").unwrap_err());

    let reason = reasons(&first)[2].1;
    assert!(reason.starts_with(&format!("{address} could not be reached: io: Connection refused")), "{reason}");
    assert_eq!(reasons(&second)[2].1, format!("{address} could not be reached before, and is not asked again"));
    assert!(second.to_string().contains("fix: name a mirror in KUBEDYNO_RELEASE_BASE, or "), "{second}");
}

/// Waits for something that another thread does.
fn until(mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "it has not happened in 60 s");
        thread::sleep(Duration::from_millis(5));
    }
}

fn tar_gz(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}
