//! The series beside a record, read back: progress curves, components over time, ledgers.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use csv::{ByteRecord, Reader};

use crate::run_dir::Error;

/// Marks before a stamp of a ledger that is no measurement.
const LATE: u8 = b'~';
const RELISTED: u8 = b'?';

/// One look at a component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Look {
    /// Offset from the start of the trial, in seconds.
    pub(crate) t_s: f64,
    /// CPU seconds since its start and resident bytes; absent when it was dead.
    pub(crate) used: Option<(f64, f64)>,
}

/// The looks at each component.
pub(crate) type Components = BTreeMap<String, Vec<Look>>;

/// Every object of an account with the stamps of its stages, in seconds from the start of the trial.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerTable {
    stages: Vec<String>,
    stamps: Vec<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stamp {
    Absent,
    Event(f64),
    Late(f64),
    Relisted(f64),
}

/// What a ledger has of the way from one stage to another within a phase.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StageTimes {
    /// Milliseconds of each object that an event showed at both stages, sorted.
    pub(crate) ms: Vec<f64>,
    /// Objects left out because an event came late.
    pub(crate) late: usize,
    /// Objects left out because only a list showed them.
    pub(crate) relisted: usize,
}

/// `t_s,done`: seconds from the start of the phase and objects done.
///
/// # Errors
/// When the file cannot be read or a line is no such pair.
pub(crate) fn progress(path: &Path) -> Result<Vec<(f64, f64)>, Error> {
    let mut points = Vec::new();
    Table::open(path)?.each(&["t_s", "done"], |table, row| {
        points.push((table.number(row, 0)?, table.number(row, 1)?));
        Ok(())
    })?;
    Ok(points)
}

/// `t_s,component,cpu_s,rss_bytes`: every look of the observer.
///
/// # Errors
/// When the file cannot be read or a line is no such look.
pub(crate) fn components(path: &Path) -> Result<Components, Error> {
    let mut components = Components::new();
    Table::open(path)?.each(&["t_s", "component", "cpu_s", "rss_bytes"], |table, row| {
        let name = String::from_utf8_lossy(row.get(1).unwrap_or_default());
        let dead = row.iter().skip(2).all(<[u8]>::is_empty);
        let used = if dead { None } else { Some((table.number(row, 2)?, table.number(row, 3)?)) };
        let look = Look { t_s: table.number(row, 0)?, used };
        match components.get_mut(&*name) {
            Some(looks) => looks.push(look),
            None => drop(components.insert(name.into_owned(), vec![look])),
        }
        Ok(())
    })?;
    Ok(components)
}

/// `name,cohort,<stage>,…`: an offset for each stage, `~` before one that came late and `?` before one that only a list
/// showed.
///
/// # Errors
/// When the file cannot be read or a stamp is none.
pub(crate) fn ledger(path: &Path) -> Result<LedgerTable, Error> {
    let mut table = Table::open(path)?;
    let stages = table.header()?.iter().skip(2).map(|stage| String::from_utf8_lossy(stage).into_owned()).collect();
    let mut stamps = Vec::new();
    table.each(&["name", "cohort"], |table, row| {
        for column in 2..row.len() {
            stamps.push(match row.get(column).and_then(<[u8]>::first) {
                None => Stamp::Absent,
                Some(&LATE) => Stamp::Late(table.number(row, column)?),
                Some(&RELISTED) => Stamp::Relisted(table.number(row, column)?),
                Some(_) => Stamp::Event(table.number(row, column)?),
            });
        }
        Ok(())
    })?;
    Ok(LedgerTable { stages, stamps })
}

impl LedgerTable {
    /// The way from `from` to `to` of the objects that got to `to` at or after `start_s` and before `end_s`; `None` when
    /// the account has no such stages.
    pub(crate) fn times(&self, from: &str, to: &str, start_s: f64, end_s: f64) -> Option<StageTimes> {
        let column = |name: &str| self.stages.iter().position(|stage| stage == name);
        let (from, to) = (column(from)?, column(to)?);
        let mut times = StageTimes::default();
        for object in self.stamps.chunks_exact(self.stages.len()) {
            match (object[from], object[to]) {
                (Stamp::Absent, _) | (_, Stamp::Absent) => {}
                (_, end) if !(start_s..end_s).contains(&end.at()) => {}
                (Stamp::Event(begin), Stamp::Event(end)) => times.ms.push((end - begin).max(0.0) * 1e3),
                (Stamp::Relisted(_), _) | (_, Stamp::Relisted(_)) => times.relisted += 1,
                (Stamp::Late(_), _) | (_, Stamp::Late(_)) => times.late += 1,
            }
        }
        times.ms.sort_unstable_by(f64::total_cmp);
        Some(times)
    }
}

impl Stamp {
    fn at(self) -> f64 {
        match self {
            Self::Absent => f64::NAN,
            Self::Event(at) | Self::Late(at) | Self::Relisted(at) => at,
        }
    }
}

/// A CSV file that knows its path, so that whatever is wrong with it has a place.
struct Table<'a> {
    path: &'a Path,
    reader: Reader<File>,
}

/// Where a row stands, for the error about it.
struct Place<'a> {
    path: &'a Path,
    header: &'a ByteRecord,
}

impl<'a> Table<'a> {
    fn open(path: &'a Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
        Ok(Self { path, reader: Reader::from_reader(file) })
    }

    fn header(&mut self) -> Result<ByteRecord, Error> {
        self.reader.byte_headers().cloned().map_err(|error| bad_table(self.path, &error))
    }

    /// Checks that the file begins with `columns` and hands out its rows.
    fn each(
        mut self,
        columns: &[&str],
        mut take: impl FnMut(&Place<'_>, &ByteRecord) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let header = self.header()?;
        if !columns.iter().zip(header.iter()).all(|(column, name)| column.as_bytes() == name)
            || header.len() < columns.len()
        {
            let message = format!("the columns should begin with `{}`", columns.join(","));
            return Err(Error::Csv { path: self.path.to_owned(), line: 1, message });
        }
        let place = Place { path: self.path, header: &header };
        let mut row = ByteRecord::new();
        while self.reader.read_byte_record(&mut row).map_err(|error| bad_table(self.path, &error))? {
            take(&place, &row)?;
        }
        Ok(())
    }
}

impl Place<'_> {
    /// The number in a column, a mark before it aside.
    fn number(&self, row: &ByteRecord, column: usize) -> Result<f64, Error> {
        let text = String::from_utf8_lossy(row.get(column).unwrap_or_default());
        let number = text.trim_start_matches(['~', '?']).parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| {
            let name = String::from_utf8_lossy(self.header.get(column).unwrap_or_default());
            let line = row.position().map_or(0, csv::Position::line);
            let text: String = text.chars().take(40).collect();
            Error::Csv { path: self.path.to_owned(), line, message: format!("`{name}` is not a number: `{text}`") }
        })
    }
}

fn bad_table(path: &Path, error: &csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let message = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("{len} fields, not {expected_len}"),
        _ => error.to_string(),
    };
    Error::Csv { path: path.to_owned(), line, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    #[test]
    fn what_came_late_or_was_only_listed_is_counted_and_not_measured() {
        let file = file(
            "name,cohort,intended,running,gone\na,x,1.0,3.5,\nb,x,1.0,~9.0,\nc,x,1.0,?9.0,\nd,x,1.0,,\ne,x,~1.0,2.0,9.5\n\
             f,x,9.0,20.0,\n",
        );
        let table = ledger(file.path()).unwrap();
        let times = table.times("intended", "running", 0.5, 20.0).unwrap();
        assert_eq!(times, StageTimes { ms: vec![2500.0], late: 2, relisted: 1 });
        assert_eq!(table.times("intended", "running", 20.0, f64::INFINITY).unwrap().ms, [11_000.0]);
        assert_eq!(table.times("intended", "scheduled", 0.0, 1.0), None);
    }

    #[test]
    fn a_dead_component_is_a_gap() {
        let text = "t_s,component,cpu_s,rss_bytes\n0.0,etcd,1.00,10\n1.0,etcd,1.50,11\n2.0,etcd,,\n3.0,etcd,2.50,12\n";
        let components = components(file(text).path()).unwrap();
        assert_eq!(components["etcd"][2], Look { t_s: 2.0, used: None });
        assert_eq!(components["etcd"][3], Look { t_s: 3.0, used: Some((2.5, 12.0)) });
    }

    #[rstest]
    #[case::no_number("t_s,done\n0.1,1\nabc,2\n", ":3: `t_s` is not a number: `abc`")]
    #[case::not_finite("t_s,done\nNaN,1\n", ":2: `t_s` is not a number: `NaN`")]
    #[case::a_field_too_few("t_s,done\n0.1,1\n0.2\n", ":3: 1 fields, not 2")]
    #[case::another_file("name,cohort\n", ":1: the columns should begin with `t_s,done`")]
    #[case::nothing("", ":1: the columns should begin with `t_s,done`")]
    fn a_bad_line_is_named(#[case] text: &str, #[case] message: &str) {
        let file = file(text);
        let error = progress(file.path()).unwrap_err().to_string();
        assert_eq!(error, format!("{}{message}", file.path().display()));
    }
}
