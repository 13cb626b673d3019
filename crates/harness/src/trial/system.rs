//! What a driver needs of its trial to run a system under test of its own: a place, supervision, and a say in the record.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cluster::{Component, Descriptor, Process, ProgramUsed, Shell, Usage};

use super::Trial;
use crate::error::{Error, Result};
use crate::namespace;
use crate::program::Program;
use crate::supervise::Supervisor;

impl Trial {
    /// The kubeconfig of the cluster, for programs that need one.
    pub fn kubeconfig(&self) -> &Path {
        &self.descriptor.kubeconfig
    }

    /// The cluster, for whoever sets something up beside its nodes.
    pub fn cluster(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The directory of the cluster's fixture.
    pub fn fixture_directory(&self) -> PathBuf {
        self.fixtures.directory(&self.descriptor.name)
    }

    /// A program that the cluster itself runs.
    ///
    /// # Errors
    /// When it runs none of that name, as a cluster of others does not.
    pub fn cluster_program(&self, name: &str) -> Result<&ProgramUsed> {
        let found = self.descriptor.programs.iter().find(|program| program.name == name);
        let lacks = || Error::Environment(format!("the cluster `{}` names no program `{name}`", self.descriptor.name));
        found.ok_or_else(lacks)
    }

    /// An empty directory for configurations, sockets and logs of the system under test. The next trial on the same
    /// cluster empties it, so that what the last one left can be looked at.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn scratch(&self) -> Result<PathBuf> {
        let directory = self.fixtures.directory(&self.descriptor.name).join("system");
        let shell = Shell::real();
        shell.remove_dir(&directory)?;
        shell.make_dir(&directory)?;
        Ok(directory)
    }

    /// Who starts the processes of the system under test; they are killed when the trial is over.
    ///
    /// # Errors
    /// When there is no shell.
    pub fn supervisor(&mut self) -> Result<Arc<Supervisor>> {
        if let Some(supervisor) = &self.supervisor {
            return Ok(Arc::clone(supervisor));
        }
        let supervisor = Arc::new(Supervisor::start()?);
        self.supervisor = Some(Arc::clone(&supervisor));
        Ok(supervisor)
    }

    /// Observes a process of the system under test as one more component. One of the same name takes its place.
    pub fn observe(&mut self, component: &Component) {
        self.observer.observe(component);
    }

    /// Whether the CPU profile of the process called `name` is wanted, so that it should serve one.
    pub fn wants_profile_of(&self, name: &str) -> bool {
        self.profiles.as_ref().is_some_and(|profiles| profiles.wants(name))
    }

    /// The process called `name` has a gops agent there, which profiles it where that is wanted. Before the first phase.
    pub fn profiled_at(&mut self, name: &str, gops: SocketAddr) {
        if let Some(profiles) = &mut self.profiles {
            profiles.offer(name, gops);
        }
    }

    /// What the component called `name` was seen to use, once a second, with the offset from the start of the trial. One
    /// that was started again begins at zero.
    pub fn usage_series(&self, name: &str) -> Vec<(Duration, Usage)> {
        self.observer.series_of(name)
    }

    /// The death of that process is part of the trial, and no event to tell.
    pub fn expect_death(&self, process: Process) {
        self.observer.expect_death(process);
    }

    /// Records a program of the system under test, and its version.
    pub fn program(&mut self, program: &Program) {
        self.record.versions.insert(program.used.name.clone(), program.used.version.clone());
        self.record.programs.extend(serde_json::to_value(&program.used));
    }

    /// Records something worth knowing that no budget judges.
    pub fn note(&mut self, note: impl Into<String>) {
        self.record.notes.push(note.into());
    }

    /// Records what something of the trial is drawn from.
    pub fn seed(&mut self, of: &str, seed: u64) {
        self.record.seeds.insert(of.to_owned(), seed);
    }

    /// Keeps a series beside the record, as `series/<suite>.<row>.<name>.csv`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn attach(&mut self, name: &str, csv: &str) -> Result<()> {
        self.series(name, csv)
    }

    /// Keeps a file in another tool's own form beside the record, as `drop-in/<suite>.<row>/<name>`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn drop_in(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let file = format!("drop-in/{}.{}/{name}", self.record.suite, self.record.test);
        self.record.files.push(self.run_dir.write_file(&file, bytes)?);
        Ok(())
    }

    /// A figure that was added before.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.record.metrics.get(name).copied()
    }

    /// What the names of its nodes end with: those of no other trial do. A node of an old name meets the Lease of the old
    /// one, which a simulation that was started again waits for.
    pub fn suffix(&self) -> String {
        namespace::suffix(&self.run_id, std::process::id())
    }

    /// Says what a figure of a phase that is over is made of.
    pub fn breakdown(&mut self, phase: &str, breakdown: record::Breakdown) {
        if let Some(phase) = self.record.phases.iter_mut().rev().find(|record| record.name == phase) {
            phase.breakdowns.push(breakdown);
        }
    }

    /// The record so far: what the phases showed.
    pub fn phases(&self) -> &[record::PhaseRecord] {
        &self.record.phases
    }
}
