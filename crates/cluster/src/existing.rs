//! Clusters of others: adopted by a kubeconfig, used with care, and never made, started again or ended.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::DeleteParams;
use kube::{Api, Client};

use crate::access::Access;
use crate::api::connect;
use crate::descriptor::{Descriptor, EXISTING};
use crate::error::{Error, Result};
use crate::fixtures::Fixtures;
use crate::lease::Lease;
use crate::nodes::{NodeShape, create_nodes, node, ready_nodes};
use crate::preflight::Preflight;
use crate::shell::Shell;
use crate::sweep::{OWNER_LABEL, RUN_LABEL, Swept, TEST_LABEL, sweep_objects};

/// How long a simulated node may take to become Ready; kwok needs less than a second.
const READY_WITHIN: Duration = Duration::from_secs(20);

impl Fixtures {
    /// Writes the descriptor of a cluster of others, with `capabilities` found by its preflight, and a kubeconfig of its
    /// own. The lease is a file lock of this machine, as for every fixture: it keeps this machine's runs apart, and
    /// does not know of anybody else's.
    ///
    /// # Errors
    /// When a cluster that was made here has the name, or the files cannot be written.
    pub fn adopt_existing(
        &self,
        access: &Access,
        preflight: &Preflight,
        capabilities: Vec<String>,
        say: &dyn Fn(&str),
    ) -> Result<Descriptor> {
        let name = access.fixture_name();
        let shell = Shell::real();
        let _lock = self.lock(&name, &shell, say)?;
        let directory = self.directory(&name);
        shell.make_dir(&directory)?;
        let kubeconfig = directory.join("kubeconfig");
        shell.write(&kubeconfig, &access.kubeconfig())?;
        let descriptor = Descriptor {
            kubeconfig,
            apiserver: access.server.clone(),
            capabilities,
            versions: BTreeMap::from([("kubernetes".to_owned(), preflight.kubernetes.clone())]),
            ..Descriptor::new(&name, EXISTING, access.key())
        };
        descriptor.write(&self.descriptor_path(&name), &shell)?;
        Ok(descriptor)
    }

    /// Who sweeps what runs of this state directory leave: a random word that is kept in it.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub fn owner(&self) -> Result<String> {
        let path = self.state().join("owner");
        if let Ok(owner) = std::fs::read_to_string(&path) {
            return Ok(owner);
        }
        let random = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
        let random = random.map_err(Error::io("read", "/proc/sys/kernel/random/uuid".as_ref()))?;
        Shell::real().make_dir(self.state())?;
        let keep = || {
            let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(self.state())?;
            file.write_all(random.split('-').next().unwrap_or_default().as_bytes())?;
            // When two commands come here at once, the first one's word stays.
            file.persist_noclobber(&path).ok();
            Ok(())
        };
        keep().map_err(Error::io("write", &path))?;
        std::fs::read_to_string(&path).map_err(Error::io("read", &path))
    }

    /// Removes from a cluster what dead runs of this state directory left in it; `own` is the run of the caller, of which
    /// nothing else is alive. The caller holds the cluster's exclusive lease, or its run's. On a cluster of `ours`
    /// namespaces go at once; on one of others its controller is waited for. `say` is told what there is to remove.
    ///
    /// # Errors
    /// When the apiserver refuses, or something is still there after five minutes.
    pub async fn sweep(&self, client: &Client, own: Option<&str>, ours: bool, say: &dyn Fn(&str)) -> Result<Swept> {
        let mut alive = Lease::live_runs(&self.locks());
        alive.retain(|run| Some(run.as_str()) != own);
        sweep_objects(client, &self.owner()?, &alive, ours, say).await
    }

    /// Removes what this machine's dead runs left in a cluster of others and forgets the cluster. One that does not
    /// answer stays known, because what was left in it could never be found again.
    pub(crate) async fn leave(
        &self,
        descriptor: &Descriptor,
        problems: &[String],
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Swept> {
        let Descriptor { name, apiserver, .. } = descriptor;
        if !shell.doing(format!("delete what dead runs of this machine left in {apiserver}, and forget {name}")) {
            return Ok(Swept::default());
        }
        let swept = async {
            match problems {
                [] => self.sweep(&connect(descriptor).await?, None, false, say).await,
                some => Err(Error::NotServing { server: apiserver.clone(), problems: some.to_vec() }),
            }
        };
        match swept.await {
            Ok(swept) => {
                shell.remove_dir(&self.directory(name))?;
                say(&format!("`{name}` is forgotten; {apiserver} goes on"));
                Ok(swept)
            }
            Err(error) => {
                let left = format!(
                    "`{name}` stays known: {error}. When that is put right, `cargo xtask cluster gc` tries again; \
                     `cargo xtask cluster down --name {name}` forgets it, and leaves there what is left"
                );
                Ok(Swept { left: vec![left], ..Swept::default() })
            }
        }
    }
}

/// Makes one node for `run_id` with kwok's annotation, says whether it becomes Ready, and removes it.
///
/// # Errors
/// When the apiserver refuses.
pub async fn simulates_nodes(client: &Client, run_id: &str, owner: &str) -> Result<bool> {
    let name = format!("kd-probe-{run_id}");
    let labels = [(RUN_LABEL, run_id), (TEST_LABEL, "probe"), (OWNER_LABEL, owner)];
    let probe = node(&name, &NodeShape::default(), &labels, &[("kubedyno.io/probe", "fake", "NoSchedule")]);
    create_nodes(client, [probe], |_| {}).await?;
    let api: Api<Node> = Api::all(client.clone());
    let until = tokio::time::Instant::now() + READY_WITHIN;
    let this = format!("{RUN_LABEL}={run_id}");
    let ready = loop {
        match ready_nodes(client, &this).await {
            Ok(ready) if ready > 0 => break Ok(true),
            Ok(_) if tokio::time::Instant::now() > until => break Ok(false),
            Ok(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(error) => break Err(error),
        }
    };
    api.delete(&name, &DeleteParams::default()).await.map_err(Error::api(format!("cannot delete node {name}")))?;
    ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_owner_stays_the_same_and_differs_between_state_directories() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let owner = Fixtures::new(one.path()).owner().unwrap();
        assert_eq!(Fixtures::new(one.path()).owner().unwrap(), owner);
        assert_ne!(Fixtures::new(two.path()).owner().unwrap(), owner);
        assert_eq!(owner.len(), 8);
    }

    #[tokio::test]
    async fn an_adopted_cluster_has_private_files_and_is_never_made_nor_ended() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config");
        let text = "clusters: [{name: c, cluster: {server: 'https://127.0.0.1:1'}}]\n\
            contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n";
        std::fs::write(&config, text).unwrap();
        let access = Access::read(&[config], None).unwrap();
        let fixtures = Fixtures::new(&dir.path().join("state"));
        let preflight = Preflight {
            context: "x".to_owned(),
            server: access.server.clone(),
            user: None,
            kubernetes: "v1.36.3".to_owned(),
            nodes: None,
            rights: BTreeMap::new(),
            flow_schemas: None,
            namespaces_of_others: None,
        };
        let capabilities = vec!["list on pods".to_owned()];
        let adopted = fixtures.adopt_existing(&access, &preflight, capabilities, &|_| {}).unwrap();
        let read = fixtures.descriptor(&adopted.name).unwrap();
        assert_eq!((&read, read.is_existing(), &read.settings), (&adopted, true, &None));
        let mode = std::fs::metadata(&read.kubeconfig).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // It cannot be reached, so what may be left in it is not forgotten.
        let kwok = crate::Kwok::new(BTreeMap::new(), crate::Settings::default());
        let left = fixtures.gc(&Shell::real(), &|_| ()).await.unwrap().left;
        assert!(left.concat().contains("stays known: https://127.0.0.1:1 does not serve"), "{left:?}");
        let request = crate::UpRequest { name: read.name.clone(), nodes: 0, shape: NodeShape::default() };
        let error = fixtures.up(&kwok, &request, &Shell::real(), &|_| {}).await.unwrap_err().to_string();
        assert!(error.contains("is a cluster of others (https://127.0.0.1:1)"), "{error}");
        assert_eq!(fixtures.down(&read.name, false, &Shell::real()).unwrap(), crate::Down::Forgotten);
        assert!(fixtures.names().is_empty());
    }
}
