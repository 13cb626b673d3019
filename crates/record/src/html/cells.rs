//! Tables of a page: what their cells are, so that every table looks and reads alike.

use askama::Template;
use askama::filters::HtmlSafe;
use measure::Verdict;

use super::plots::letter;

/// A table whose first column names its rows.
#[derive(Debug, Template)]
#[template(path = "table.html")]
pub(crate) struct Table {
    caption: &'static str,
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Debug)]
pub(crate) enum Cell {
    /// Words.
    Text(String),
    /// Words, with smaller ones below.
    Noted(String, String),
    /// A figure, set to the right.
    Number(String),
    /// A verdict: its shape and its word.
    Verdict(Badge),
    /// The line and the letter by which a plot knows the row, and its name.
    Line(Key, String),
}

/// A verdict as a shape and a word.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r##"<b class="v-{{ verdict }}"><svg aria-hidden="true"><use href="#v-{{ verdict }}"/></svg>{{ verdict }}</b>"##,
    ext = "html"
)]
pub(crate) struct Badge {
    pub(crate) verdict: Verdict,
}

/// A stretch of a plot's line with its letter.
#[derive(Clone, Copy, Debug, Template)]
#[template(
    source = r##"<svg class="s s{{ index }}" aria-hidden="true"><use href="#line"/></svg>{{ letter }} "##,
    ext = "html"
)]
pub(crate) struct Key {
    index: usize,
    letter: char,
}

impl HtmlSafe for Table {}
impl HtmlSafe for Badge {}
impl HtmlSafe for Key {}

impl Table {
    /// An empty table.
    pub(crate) fn new(caption: &'static str, head: &[&'static str]) -> Self {
        Self { caption, head: head.to_vec(), rows: Vec::new() }
    }

    /// A table of names and what they are, without a header of its own.
    pub(crate) fn of_pairs(caption: &'static str, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let rows = pairs.into_iter().map(|(name, value)| vec![Cell::Text(name), Cell::Text(value)]);
        Self { caption, head: Vec::new(), rows: rows.collect() }
    }

    /// Whether a column holds figures, which stand below each other.
    fn is_number(&self, column: &usize) -> bool {
        self.rows.first().and_then(|row| row.get(*column)).is_some_and(|cell| matches!(cell, Cell::Number(_)))
    }

    /// Whether it may be wider than a narrow page: then it can be scrolled, by keyboard as well.
    fn is_wide(&self) -> bool {
        self.head.len() > 5
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        self.rows.push(row.into_iter().collect());
    }

    /// Whether it has no rows: then there is nothing to show.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

impl Cell {
    /// A figure.
    pub(crate) fn number(figure: impl std::fmt::Display) -> Self {
        Self::Number(figure.to_string())
    }
}

impl Key {
    /// The key of the line with this index.
    pub(crate) fn new(index: usize) -> Self {
        Self { index, letter: letter(index) }
    }
}
