//! The page of a run, from files that a run left: what it says first, how large it is, and that no file can break it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod sample;

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use record::{RunDir, html_page, pictures_of_page};
use sample::{Ending, SUITE, write_run};
use serde_json::Value;
use tempfile::TempDir;

struct Place {
    _directory: TempDir,
    run: RunDir,
}

impl Place {
    fn new(rows: &[(&str, Ending)], pods: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let run = RunDir::at(directory.path());
        write_run(&run, rows, pods);
        Self { _directory: directory, run }
    }

    fn page(&self) -> String {
        html_page(&self.run).unwrap()
    }

    fn file(&self, relative: &str) -> PathBuf {
        self.run.path().join(relative)
    }

    fn edit(&self, relative: &str, edit: impl FnOnce(&mut Value)) {
        let path = self.file(relative);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        edit(&mut value);
        std::fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    }
}

/// The names of the page's elements in order; an error when it is not well formed.
fn elements(page: &str) -> Result<Vec<String>, String> {
    let mut reader = Reader::from_str(page);
    let mut names = Vec::new();
    let mut depth = 0usize;
    loop {
        match reader.read_event().map_err(|error| format!("at {}: {error}", reader.buffer_position()))? {
            Event::Start(tag) | Event::Empty(tag) if tag.attributes().any(|attribute| attribute.is_err()) => {
                return Err(format!("bad attributes in {tag:?}"));
            }
            Event::Start(tag) => {
                depth += 1;
                names.push(String::from_utf8_lossy(tag.name().as_ref()).into_owned());
            }
            Event::Empty(tag) => names.push(String::from_utf8_lossy(tag.name().as_ref()).into_owned()),
            Event::End(_) => depth -= 1,
            Event::Eof if depth == 0 => return Ok(names),
            Event::Eof => return Err(format!("{depth} elements are open at the end")),
            _ => {}
        }
    }
}

/// A part of the page without its style, script and shapes.
fn body(page: &str) -> String {
    let mut page = page.to_owned();
    for (from, to) in [("<style>", "</style>"), ("<script>", "</script>"), ("<defs>", "</defs>")] {
        let (start, end) = (page.find(from).unwrap() + from.len(), page.find(to).unwrap());
        page.replace_range(start..end, "…");
    }
    page
}

#[test]
fn a_small_page() {
    let place = Place::new(&[("met", Ending::Passed), ("missed", Ending::Missed)], 4);
    insta::assert_snapshot!(body(&place.page()));
}

#[test]
fn the_verdict_comes_first_and_a_row_that_did_not_pass_says_why() {
    let rows =
        [("met", Ending::Passed), ("missed", Ending::Missed), ("stalled", Ending::Stalled), ("killed", Ending::Killed)];
    let page = Place::new(&rows, 200).page();
    let position = |text: &str| page.find(text).unwrap_or_else(|| panic!("no `{text}` in the page"));
    assert!(position("<h1>1 of 4 rows passed</h1>") < position("<table"));
    assert!(position("stalled at 180/200 after ") < position("<h2>kperf-suite met</h2>"));
    for text in [
        "is 10.8, the limit is ≤ 7.20, 1.50 x the limit.",
        "create-pods, whose budget was not met: 200 of 200 objects got there",
        "In create-pods the machine was saturated: the components used 1.88 cores (94 % of all 2)",
        "roll-pods, which did not complete: 180 of 200 objects got there",
        "deployment-2-00180: never running; scheduled at +12.345s (kperf-7).",
        "While it moved the machine was saturated",
        "when nothing moved any more no component was saturated",
        "The test process ended before it judged anything",
        "roll-pods, the last that ended",
        "cargo xtask run kperf --filter 'test(stalled)' --profile default --set nodes=50",
        "50 (overridden)",
    ] {
        let escaped = text.replace('\'', "&#39;");
        assert!(page.contains(&escaped), "no `{text}` in the page");
    }
    elements(&page).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing is loaded from elsewhere");
}

#[test]
fn the_plots_of_a_page_stand_alone_as_files() {
    let dir = TempDir::new().unwrap();
    let directory = RunDir::at(dir.path());
    write_run(&directory, &[("row", Ending::Stalled)], 20);
    let pictures = pictures_of_page(&html_page(&directory).unwrap());
    let names: Vec<&str> = pictures.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"progress-of-create-pods"), "{names:?}");
    for (name, picture) in &pictures {
        let mut reader = Reader::from_str(picture);
        loop {
            match reader.read_event() {
                Ok(Event::Eof) => break,
                Ok(_) => {}
                Err(error) => panic!("{name} is no XML: {error}"),
            }
        }
        assert!(picture.starts_with("<svg xmlns=") && picture.contains("<style>"), "{name}");
    }
}

#[test]
fn a_row_without_stages_leaves_their_plot_out() {
    let place = Place::new(&[("load", Ending::Passed)], 40);
    place.edit("trials/kperf-suite/load.json", |trial| {
        for phase in trial["phases"].as_array_mut().unwrap() {
            phase["stages"] = serde_json::json!({});
        }
    });
    let page = place.page();
    assert!(page.contains("Progress of create-pods") && !page.contains("imes of the stages"), "{page}");
}

#[test]
fn a_row_that_is_unsupported_says_what_it_needs_and_no_more() {
    let place = Place::new(&[("row", Ending::Killed)], 4);
    place.edit("trials/kperf-suite/row.json", |trial| {
        trial["verdict"] = "unsupported".into();
        trial["reason"] = "needs KUBEDYNO_OTHER".into();
        trial["phases"] = serde_json::json!([]);
    });
    let page = place.page();
    assert!(page.contains("<dt>needs</dt><dd>KUBEDYNO_OTHER. It is not there, so that nothing was created"), "{page}");
    assert!(!page.contains("No phase came to its end"), "{page}");
}

/// Words that only this project uses, or uses in a sense of its own, are explained where they are met first.
#[test]
fn the_page_explains_its_words() {
    let page = Place::new(&[("met", Ending::Passed)], 4).page();
    for word in ["gate", "ceiling", "phase", "stage", "yardstick", "late, ~", "unaccounted", "410 Gone", "harness"] {
        assert!(page.contains(&format!("<dt>{word}</dt>")), "{word}");
    }
    assert!(page.contains("href=\"#words\"") && page.contains("id=\"words\""));
}

#[test]
fn a_row_that_never_began_and_a_run_that_was_interrupted_are_told() {
    let place = Place::new(&[("met", Ending::Passed)], 4);
    place.edit("run.json", |run| {
        run["state"] = "interrupted".into();
        run["expected"].as_array_mut().unwrap().push(serde_json::json!({"suite": SUITE, "test": "never"}));
    });
    let page = place.page();
    assert!(page.contains("The run was interrupted; this is what it had."));
    assert!(page.contains("<h1>1 of 2 rows passed</h1>"));
    assert!(page.contains("no record: the test never began, or was killed before it wrote one"));
}

#[test]
fn what_cannot_be_read_is_named_with_file_and_line_and_the_rest_is_there() {
    let place = Place::new(&[("met", Ending::Passed), ("torn", Ending::Passed)], 40);
    std::fs::write(place.file("trials/kperf-suite/torn.json"), "{\n\"schema\": 1,").unwrap();
    std::fs::write(place.file("series/kperf-suite.met.create-pods.progress.csv"), "t_s,done\n1.0,one\n").unwrap();
    std::fs::write(place.file("series/kperf-suite.met.pods.ledger.csv"), "name,cohort,a\nx,y\n").unwrap();
    std::fs::remove_file(place.file("series/kperf-suite.met.components.csv")).unwrap();
    let page = place.page();
    for text in [
        "<h1>1 of 2 rows passed</h1>",
        "Cannot be read: trials/kperf-suite/torn.json:2: not a record: EOF",
        "Cannot be read: series/kperf-suite.met.create-pods.progress.csv:2: `done` is not a number: `one`",
        "Cannot be read: series/kperf-suite.met.pods.ledger.csv:2: 2 fields, not 3",
        "Cannot be read: cannot read series/kperf-suite.met.components.csv: No such file",
        "Progress of roll-pods",
    ] {
        assert!(page.contains(text), "no `{text}` in the page");
    }
    std::fs::write(place.file("run.json"), "{}").unwrap();
    let page = place.page();
    assert!(page.contains("Cannot be read: run.json:1: not a record: missing field"), "{page}");
    assert!(page.contains("Progress of roll-pods"));
}

#[test]
fn a_record_cannot_point_outside_its_run() {
    let place = Place::new(&[("met", Ending::Passed)], 4);
    place.edit("trials/kperf-suite/met.json", |trial| {
        trial["files"] = serde_json::json!(["/etc/passwd", "../secret.components.csv", "javascript:alert(1)"]);
    });
    let page = place.page();
    assert!(!page.contains("passwd") && !page.contains("secret") && !page.contains("javascript:"));
}

/// A hundred rows as full as the smoke row of the node pool: five phases of 1,000 pods, 20 budgets. The promise is 5 MB; rows
/// with more phases and budgets need what is left of it.
#[test]
fn a_hundred_full_rows_stay_far_under_5_mb() {
    let names: Vec<String> = (0..100).map(|i| format!("nodepool_{i}")).collect();
    let endings = [Ending::Passed, Ending::Missed];
    let rows: Vec<_> =
        names.iter().zip(endings.into_iter().cycle()).map(|(name, ending)| (name.as_str(), ending)).collect();
    let size = Place::new(&rows, 1000).page().len();
    assert!(size < 4_000_000, "{size} bytes");
}

/// Replaces every text of a record that is not a word of the schema or a name that files are found by.
fn replace_texts(value: &mut Value, text: &str) {
    match value {
        Value::String(string) => text.clone_into(string),
        Value::Array(values) => values.iter_mut().for_each(|value| replace_texts(value, text)),
        Value::Object(fields) => {
            let words = ["verdict", "direction", "role", "state", "files", "name", "suite", "test"];
            fields.iter_mut().filter(|(name, _)| !words.contains(&name.as_str())).for_each(|(_, value)| {
                replace_texts(value, text);
            });
            for map in ["parameters", "metrics", "versions", "settings", "components", "watches", "api_requests_by"] {
                if let Some(Value::Object(entries)) = fields.get_mut(map) {
                    let renamed =
                        std::mem::take(entries).into_iter().map(|(name, value)| (format!("{text}{name}"), value));
                    *entries = renamed.collect();
                }
            }
        }
        _ => {}
    }
}

fn page_with(text: &str) -> String {
    let place = Place::new(&[("missed", Ending::Missed), ("stalled", Ending::Stalled)], 12);
    for file in ["trials/kperf-suite/missed.json", "trials/kperf-suite/stalled.json", "run.json"] {
        place.edit(file, |record| replace_texts(record, text));
    }
    for test in ["missed", "stalled"] {
        let path = place.file(&format!("series/kperf-suite.{test}.components.csv"));
        let csv = std::fs::read_to_string(&path).unwrap();
        let quoted = format!("\"{}etcd\"", text.replace('"', "\"\""));
        std::fs::write(&path, csv.replace("etcd", &quoted)).unwrap();
    }
    place.page()
}

fn any_text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "<",
        ">",
        "&",
        "\"",
        "'",
        "</script>",
        "<!--",
        "]]>",
        "&lt;",
        "{{",
        "{%",
        "\u{0}",
        "\u{1b}",
        "\u{202e}",
        "\u{fffd}",
        "\n",
        "é",
        "javascript:",
    ]);
    let part = prop_oneof![hostile.prop_map(str::to_owned), any::<String>()];
    prop::collection::vec(part, 1..6).prop_map(|parts| format!("x{}", parts.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_the_markup(text in any_text()) {
        let page = page_with(&text);
        let found = elements(&page).map_err(TestCaseError::fail)?;
        prop_assert_eq!(found, elements(&page_with("plain")).map_err(TestCaseError::fail)?);
    }
}

/// What becomes of one file.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Byte(usize, u8),
    Insert(usize, String),
    /// The nth number, or word after a colon, becomes this.
    Value(usize, &'static str),
    Gone,
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let at = |place: usize| place % bytes.len().max(1);
        match self {
            Self::Cut(place) => bytes[..at(*place)].to_vec(),
            Self::Byte(place, byte) => {
                let mut bytes = bytes.to_vec();
                bytes[at(*place)] = *byte;
                bytes
            }
            Self::Insert(place, text) => [&bytes[..at(*place)], text.as_bytes(), &bytes[at(*place)..]].concat(),
            Self::Value(nth, with) => {
                let text = String::from_utf8_lossy(bytes).into_owned();
                let digit = |i: &usize| text.as_bytes()[*i].is_ascii_digit();
                let starts: Vec<usize> = (1..text.len()).filter(|i| digit(i) && !digit(&(i - 1))).collect();
                let Some(start) = starts.get(nth % starts.len().max(1)) else { return bytes.to_vec() };
                let end =
                    text[*start..].find(|c: char| !"0123456789.e-".contains(c)).map_or(text.len(), |len| start + len);
                [&text[..*start], with, &text[end..]].concat().into_bytes()
            }
            Self::Gone => Vec::new(),
        }
    }
}

fn any_damage() -> impl Strategy<Value = Damage> {
    let values = vec![
        "1e999",
        "-1e300",
        "1e300",
        "-1",
        "0",
        "18446744073709551615",
        "99999999999999999999",
        "NaN",
        "inf",
        "null",
        "\"x\"",
        "[]",
        "true",
        "~1",
        "?1",
        "",
    ];
    prop_oneof![
        2 => any::<usize>().prop_map(Damage::Cut),
        2 => any::<(usize, u8)>().prop_map(|(place, byte)| Damage::Byte(place, byte)),
        2 => (any::<usize>(), any::<String>()).prop_map(|(place, text)| Damage::Insert(place, text)),
        6 => (any::<usize>(), prop::sample::select(values)).prop_map(|(nth, with)| Damage::Value(nth, with)),
        1 => Just(Damage::Gone),
    ]
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        if entry.path().is_dir() { files.extend(self::files(&entry.path())) } else { files.push(entry.path()) }
    }
    files.sort();
    files
}

/// 600 damaged runs: the page is written, is well formed, and holds no number that is none.
#[test]
fn no_damage_to_a_file_keeps_the_page_from_being_written() {
    let place = Place::new(&[("met", Ending::Passed), ("stalled", Ending::Stalled)], 25);
    let files = files(place.run.path());
    let whole: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any_damage()), 1..4);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases: 600, ..ProptestConfig::default() });
    let outcome = runner.run(&damage, |damage| {
        for (index, damage) in &damage {
            let index = index.index(files.len());
            std::fs::write(&files[index], damage.apply(&whole[index])).unwrap();
        }
        let page = place.page();
        for (file, bytes) in files.iter().zip(&whole) {
            std::fs::write(file, bytes).unwrap();
        }
        elements(&page).map_err(TestCaseError::fail)?;
        for path in page.split(" d=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            prop_assert!(!path.contains("NaN") && !path.contains("inf"), "{path}");
        }
        Ok(())
    });
    outcome.unwrap();
}
