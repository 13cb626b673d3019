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
    head: Vec<String>,
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
    /// A verdict, and how many of the rows below have it: the only cell of its row.
    Group(Badge, String),
    /// The index of a plot's line, by which its stretch of line is drawn, and the letter and the name of the line.
    Line(usize, String),
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

impl HtmlSafe for Table {}
impl HtmlSafe for Badge {}

impl Table {
    /// An empty table.
    pub(crate) fn new(caption: &'static str, head: &[&str]) -> Self {
        Self { caption, head: head.iter().map(|name| (*name).to_owned()).collect(), rows: Vec::new() }
    }

    /// A table of names and what they are, without a header of its own.
    pub(crate) fn of_pairs(caption: &'static str, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let rows = pairs.into_iter().map(|(name, value)| vec![Cell::Text(name), Cell::Text(value)]);
        Self { caption, head: Vec::new(), rows: rows.collect() }
    }

    /// Whether a column holds figures, which stand below each other.
    fn is_number(&self, column: &usize) -> bool {
        self.rows.iter().find_map(|row| row.get(*column)).is_some_and(|cell| matches!(cell, Cell::Number(_)))
    }

    /// The attributes of a row's first cell: a group's is as wide as the table, a line's shows the line.
    fn first(&self, row: &[Cell]) -> String {
        match row.first() {
            Some(Cell::Group(..)) => format!(" colspan=\"{}\"", self.head.len()),
            Some(Cell::Line(index, _)) => format!(" class=\"k{index}\""),
            _ => String::new(),
        }
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

    /// The line of a plot with this index, and what it is.
    pub(crate) fn line(index: usize, name: &str) -> Self {
        Self::Line(index, format!("{} {name}", letter(index)))
    }
}
