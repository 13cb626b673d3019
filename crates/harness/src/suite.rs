//! A suite's data files, and what all of its rows have in common.

use measure::Budgets;
use record::Document;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::Result;
use crate::parameters::Rows;
use crate::trial::Row;

/// A suite as its package knows it.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    /// The package.
    pub package: &'static str,
    /// `parameters.toml`: its path in messages, and its text.
    pub parameters: (&'static str, &'static str),
    /// `budgets.toml`, in the same way.
    pub budgets: (&'static str, &'static str),
    /// What comes from how this project makes its own clusters.
    pub deviations_of_our_clusters: &'static [&'static str],
}

impl Suite {
    /// Its rows.
    ///
    /// # Errors
    /// When the file is malformed, with its line.
    pub fn rows(&self) -> Result<Rows> {
        let (file, text) = self.parameters;
        Ok(Rows::parse(file, text)?)
    }

    /// The row called `test` on a fixture, with nothing yet of what sets it apart from the suite's other rows; and its parameters.
    ///
    /// # Errors
    /// When the row is unknown, a file is malformed, or an override does not fit.
    pub fn row<T: DeserializeOwned>(
        &self,
        test: &str,
        fixture: &'static str,
        (title, name): (&str, &str),
    ) -> Result<(Row, T)> {
        let (rows, sets) = (self.rows()?, Context::from_env()?.sets);
        let (typed, parameters, overridden) = rows.row::<T>(test, &sets)?;
        let (budgets_file, budgets) = self.budgets;
        let row = Row {
            suite: self.package,
            test: test.to_owned(),
            fixture,
            document: Document { title: title.to_owned(), name: name.to_owned() },
            needs: rows.needs(test, &sets)?,
            lacks: None,
            deviations: Vec::new(),
            deviations_of_our_clusters: self.deviations_of_our_clusters.iter().map(|text| (*text).to_owned()).collect(),
            published: Vec::new(),
            aside: None,
            kubeconfig: None,
            arm: None,
            comparator: false,
            budgets: Budgets::parse(budgets_file, budgets)?,
            parameters,
            overridden,
        };
        Ok((row, typed))
    }
}
