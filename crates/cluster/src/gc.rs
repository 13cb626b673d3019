//! What dead commands and trials left, removed. A cluster that was asked for and can be repaired is not among it.

use crate::api::connect;
use crate::descriptor::{Component, Descriptor};
use crate::error::{Error, Result, up_command};
use crate::fixtures::Fixtures;
use crate::health::Health;
use crate::kind;
use crate::kwok;
use crate::lease::Lease;
use crate::process::State;
use crate::removal::remove;
use crate::shell::Shell;
use crate::sweep::{Swept, sweep_fixture};

impl Fixtures {
    /// Removes what dead commands and trials left: clusters that were half-made or of which nothing runs any more, processes that
    /// no descriptor knows, labelled objects in clusters that work, cards, locks and temporary files. What is in use is left
    /// alone, and so is a cluster that `up` repairs; of a cluster of others nothing goes but this machine's objects.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub async fn gc(&self, shell: &Shell, say: &dyn Fn(&str)) -> Result<Swept> {
        let mut swept = Swept::default();
        if !shell.is_dry() {
            swept.files += Lease::sweep(&self.locks());
        }
        for name in self.names() {
            let (Some(_making), Ok(_lease)) = (self.try_lock(&name)?, self.alone(&name, false, "cluster gc")) else {
                say(&format!("`{name}` is in use: left alone"));
                continue;
            };
            swept.add(self.gc_of(&name, shell, say).await?);
        }
        for name in self.locks_of_the_gone() {
            if shell.doing(format!("remove the locks of {name}, which is gone")) {
                swept.files += self.forget_locks(&name)?;
            }
        }
        Ok(swept)
    }

    /// The same of one cluster, whose lock and lease the caller has.
    async fn gc_of(&self, name: &str, shell: &Shell, say: &dyn Fn(&str)) -> Result<Swept> {
        let directory = self.directory(name);
        let mut swept = Swept::default();
        if !shell.is_dry() {
            swept.files += sweep_fixture(&directory);
        }
        let why = match Descriptor::read(&self.descriptor_path(name)) {
            Ok(None) => "it was never finished".to_owned(),
            Err(error @ Error::NewerSchema { .. }) => {
                say(&format!("`{name}` is left alone: {error}"));
                return Ok(swept);
            }
            Err(error) => error.to_string(),
            Ok(Some(descriptor)) if descriptor.is_existing() => {
                let broken = Health::of(&descriptor).await.problems();
                swept.add(self.leave(&descriptor, &broken, shell, say).await?);
                return Ok(swept);
            }
            Ok(Some(descriptor)) => {
                let strays = !kind::made(&directory) && kwok::strays(&descriptor, &directory).next().is_some();
                if strays && shell.doing(format!("end what a dead command was starting in {name}")) {
                    swept.processes += kwok::end_strays(&descriptor, &directory);
                }
                match Health::of(&descriptor).await {
                    Health::Healthy => {
                        if shell.doing(format!("delete the namespaces and nodes of dead runs in {name}")) {
                            swept.add(self.sweep(&connect(&descriptor).await?, None, true, say).await?);
                        }
                        return Ok(swept);
                    }
                    Health::Broken(problems) if descriptor.components.iter().any(runs) => {
                        say(&left(&descriptor, &problems));
                        return Ok(swept);
                    }
                    Health::Broken(_) => "nothing of it runs any more".to_owned(),
                    rebooted @ Health::Rebooted => rebooted.problems().join("; "),
                }
            }
        };
        say(&format!("removing `{name}`: {why}"));
        match remove(name, &directory, shell) {
            Ok(processes) => {
                swept.processes += processes;
                swept.clusters.push(name.to_owned());
            }
            // The others are looked after all the same.
            Err(error) => swept.left.push(format!("`{name}` is left: {error}")),
        }
        Ok(swept)
    }
}

/// What `up` repairs was asked for, and is not removed.
fn left(descriptor: &Descriptor, problems: &[String]) -> String {
    let Descriptor { name, provider, .. } = descriptor;
    format!(
        "`{name}` is left: {}; `{}` repairs it, and gc then removes what dead runs left in it; `cargo xtask cluster down --name \
         {name}` ends it",
        problems.join("; "),
        up_command(provider, name)
    )
}

fn runs(component: &Component) -> bool {
    component.process.state() != State::Dead
}
