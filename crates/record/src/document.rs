//! The tables of a document, regenerated from records: what it publishes, and beneath it what was measured.

use std::fmt::Write as _;

use jiff::SignedDuration;

use crate::schema::{Cell, Published, Trial};
use crate::text::{cell, seconds};

/// A table of a document.
#[derive(Debug, Default)]
struct Table<'a> {
    title: &'a str,
    columns: Vec<&'a str>,
    rows: Vec<Row<'a>>,
}

/// A row of it: what was measured, system by system.
#[derive(Debug)]
struct Row<'a> {
    name: &'a str,
    baseline: bool,
    /// The trial that measured it; absent where nothing did.
    trial: Option<&'a Trial>,
    /// By column.
    figures: Vec<(&'a str, &'a Published)>,
}

/// Whose figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Theirs,
    Ours,
}

/// Every table that the trials have a figure of, as Markdown; empty when there is none.
pub(crate) fn tables(trials: &[&Trial]) -> String {
    let mut tables: Vec<Table<'_>> = Vec::new();
    for trial in trials {
        for published in &trial.published {
            let Some(place) = &published.cell else { continue };
            let index = tables.iter().position(|table| table.title == place.table).unwrap_or_else(|| {
                tables.push(Table { title: &place.table, ..Table::default() });
                tables.len() - 1
            });
            tables[index].add(trial, published, place);
        }
    }
    tables.iter().map(Table::markdown).collect()
}

impl<'a> Table<'a> {
    fn add(&mut self, trial: &'a Trial, published: &'a Published, place: &'a Cell) {
        if !self.columns.contains(&place.column.as_str()) {
            self.columns.push(&place.column);
        }
        let index = self.rows.iter().position(|row| row.name == place.row).unwrap_or_else(|| {
            let (baseline, figures) = (place.baseline, Vec::new());
            self.rows.push(Row { name: &place.row, baseline, trial: None, figures });
            self.rows.len() - 1
        });
        let row = &mut self.rows[index];
        let known = row.figures.iter_mut().find(|(column, _)| *column == place.column);
        match known {
            // A trial knows the whole table of its document; the figure that counts is of the one that measured it.
            Some((_, other)) if published.metric.is_some() => *other = published,
            Some(_) => {}
            None => row.figures.push((&place.column, published)),
        }
        if published.metric.is_some() {
            row.trial = Some(trial);
        }
    }

    fn markdown(&self) -> String {
        let mut out = format!("\n### {}\n\n| | {} |\n|", self.title, self.columns.join(" | "));
        out.push_str(&" --- |".repeat(self.columns.len() + 1));
        out.push('\n');
        let mut line = |what: &str, cells: Vec<String>| {
            if cells.iter().any(|text| text != "-") {
                writeln!(out, "| {} | {} |", cell(what), cells.join(" | ")).ok();
            }
        };
        let baseline = |side| {
            let measured = |row: &&Row<'_>| self.columns.iter().any(|column| row.seconds(side, column).is_some());
            self.rows.iter().filter(|row| row.baseline).find(measured)
        };
        for row in &self.rows {
            let each = |text: &dyn Fn(&str) -> String| self.columns.iter().map(|column| text(column)).collect();
            line(&format!("{}, published", row.name), each(&|column| row.theirs(column)));
            line(&format!("{}, ours{}", row.name, row.versions()), each(&|column| row.ours(column)));
            for (whose, side) in [("published", Side::Theirs), ("ours", Side::Ours)] {
                let Some(base) = baseline(side).filter(|base| base.name != row.name) else { continue };
                let ratio = |column: &str| {
                    let both = row.seconds(side, column).zip(base.seconds(side, column));
                    both.map_or_else(|| "-".to_owned(), |(row, base)| format!("{:.2} x", row / base))
                };
                line(&format!("{}, {whose}, against {}", row.name, base.name), each(&ratio));
            }
        }
        out
    }
}

impl Row<'_> {
    fn figure(&self, column: &str) -> Option<&Published> {
        self.figures.iter().find(|(name, _)| *name == column).map(|(_, published)| *published)
    }

    fn theirs(&self, column: &str) -> String {
        self.figure(column).map_or("-".to_owned(), |published| published.theirs.clone())
    }

    fn seconds(&self, side: Side, column: &str) -> Option<f64> {
        let figure = self.figure(column)?;
        match side {
            Side::Theirs => figure.theirs.parse::<SignedDuration>().ok().map(|theirs| theirs.as_secs_f64()),
            Side::Ours => self.trial?.metrics.get(figure.metric.as_ref()?).copied(),
        }
    }

    /// The time, or in words how the phase of that name ended.
    fn ours(&self, column: &str) -> String {
        let end = || {
            let phase = self.trial?.phases.iter().find(|phase| phase.name == column)?;
            Some(cell(&phase.end))
        };
        self.seconds(Side::Ours, column).map(seconds).or_else(end).unwrap_or_else(|| "-".to_owned())
    }

    fn versions(&self) -> String {
        let versions = self.trial.into_iter().flat_map(|trial| &trial.versions);
        let versions: Vec<String> = versions.map(|(system, version)| format!("{system} {version}")).collect();
        if versions.is_empty() { String::new() } else { format!(" ({})", versions.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::PhaseRecord;
    use std::collections::BTreeMap;

    fn figure(row: &str, column: &str, theirs: &str, metric: Option<&str>) -> Published {
        let baseline = ["Calico", "host-local"].contains(&row);
        let (table, row, column) = ("IPv4, 1 x 1000".to_owned(), row.to_owned(), column.to_owned());
        Published {
            theirs: theirs.to_owned(),
            metric: metric.map(str::to_owned),
            cell: Some(Cell { table, row, column, baseline }),
            ..Published::default()
        }
    }

    fn trial(published: Vec<Published>, metrics: &[(&str, f64)]) -> Trial {
        let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Trial { published, metrics, ..Trial::default() }
    }

    #[test]
    fn a_table_has_what_was_published_and_what_was_measured_and_their_ratios() {
        let calico = || figure("Calico", "create", "1m40s", None);
        let mut ours = trial(
            vec![
                calico(),
                figure("Spiderpool v0.4.1", "create", "2m30s", Some("create_s")),
                figure("Spiderpool v0.4.1", "rebuild", "failed", Some("rebuild_s")),
            ],
            &[("create_s", 30.0)],
        );
        ours.versions = BTreeMap::from([("spiderpool".to_owned(), "v1.2.2".to_owned())]);
        let end = "stalled at 55/1000 after 40s".to_owned();
        ours.phases = vec![PhaseRecord { name: "rebuild".to_owned(), end, ..PhaseRecord::default() }];
        let floor = trial(vec![calico(), figure("host-local", "create", "-", Some("create_s"))], &[("create_s", 3.0)]);
        assert_eq!(
            tables(&[&floor, &ours]),
            "\n### IPv4, 1 x 1000\n\n\
             | | create | rebuild |\n| --- | --- | --- |\n\
             | Calico, published | 1m40s | - |\n\
             | host-local, ours | 3.00s | - |\n\
             | Spiderpool v0.4.1, published | 2m30s | failed |\n\
             | Spiderpool v0.4.1, ours (spiderpool v1.2.2) | 30.00s | stalled at 55/1000 after 40s |\n\
             | Spiderpool v0.4.1, published, against Calico | 1.50 x | - |\n\
             | Spiderpool v0.4.1, ours, against host-local | 10.00 x | - |\n"
        );
        assert_eq!(tables(&[&trial(vec![Published::default()], &[])]), "");
    }
}
