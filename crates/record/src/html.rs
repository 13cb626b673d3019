//! `index.html`: a run on one page that needs no other file, from its records and series only.
//!
//! What cannot be read is named on the page with its file and line, at the row that it belongs to; the rest of the page
//! is there all the same.

mod axis;
mod cause;
mod cells;
mod costs;
mod page;
mod phase;
mod plots;
mod row;
mod series;
mod setup;
mod svg;
mod thin;
mod usage;
mod words;

use std::collections::BTreeSet;

use askama::Template as _;

pub(crate) use self::axis::Scale;
use self::page::Page;
use self::row::Row;
use self::setup::Clusters;
pub(crate) use self::svg::{Point, Svg};
use crate::gather::Run;
use crate::run_dir::{Error, RunDir, read_json};
use crate::source::Source;

/// Rows up to this number are open when the page is; of more, only those that did not pass.
const OPEN: usize = 3;

/// The page of the run in `directory`.
///
/// # Errors
/// When there is no run in the directory.
pub fn html_page(directory: &RunDir) -> Result<String, Error> {
    let path = directory.run_json();
    if !path.exists() {
        return Err(Error::NoRun(directory.path().to_owned()));
    }
    let (run, problem) = match read_json::<Run>(&path) {
        Ok(run) => (run, None),
        Err(error) => (Run::default(), Some(directory.name_problem(&error))),
    };
    let sources = Source::of_run(&run, directory);
    let (mut ids, mut clusters) = (BTreeSet::new(), Clusters::default());
    let mut rows: Vec<Row> = sources
        .iter()
        .map(|source| Row::new(source, new_id(source, &mut ids), directory, &run, &mut clusters))
        .collect();
    rows.sort_by(|a, b| (b.verdict, &a.suite, &a.test).cmp(&(a.verdict, &b.suite, &b.test)));
    let few = rows.len() <= OPEN;
    rows.iter_mut().for_each(|row| row.open = few || !row.verdict.passes());
    let page = Page::new(&run, rows, clusters, problem, directory);
    page.render().map_err(|source| Error::Page { path: directory.path().to_owned(), source })
}

/// An id made of a row's name, so that a link to it stays good over runs; numbered where two names would give one.
fn new_id(source: &Source, taken: &mut BTreeSet<String>) -> String {
    let (suite, test) = source.name();
    let name = format!("{suite}.{test}");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let numbered = (2..).map(|number| format!("{name}.{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|id| !taken.contains(id)).unwrap_or_default();
    taken.insert(free.clone());
    free
}
