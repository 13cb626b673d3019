//! The management side: nodes, kinds, DataStores and the operator, all real but the nodes.

mod datastore;
mod etcdctl;
mod keys;
mod metrics;
mod nodes;
mod operator;
mod webhooks;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{Error, Program, Supervisor, Trial, make_kinds, read_kinds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, WebhookClientConfig,
};

pub use datastore::{DataStore, StoreFigures};
pub use etcdctl::{Account, Etcdctl, Key, Permission};
pub use keys::{Bare, Keys};
pub use metrics::Figures;
pub use operator::Operator;

use crate::parameters::Benchmark;
use crate::tenant::datastore_name;

/// Variable with the directory of the kinds that belong to another build of the operator.
pub const KINDS: &str = "KUBEDYNO_KAMAJI_CRDS";
/// Where the module has them.
const MODULE_KINDS: &str = "charts/kamaji/crds";

/// Everything that tenants need, running.
#[derive(Debug)]
pub struct Management {
    /// The operator.
    pub operator: Operator,
    /// The DataStores.
    pub datastores: Vec<DataStore>,
    /// Keys by the operator's own code, without the operator.
    pub keys: Keys,
    /// Who starts processes.
    pub supervisor: Arc<Supervisor>,
    /// The trial's directory.
    pub directory: PathBuf,
}

impl Management {
    /// Starts everything; `proxy` is the operator's way to its tenants.
    ///
    /// # Errors
    /// When a program is not there, something does not start, or the apiserver refuses.
    pub async fn start(trial: &mut Trial, row: &Benchmark, proxy: &str) -> Result<Self, Error> {
        let (kamaji, kubeadm) = (Program::of("kamaji")?, Program::of("kubeadm")?);
        trial.program(&kamaji);
        trial.program(&kubeadm);
        let directory = trial.scratch()?;
        let supervisor = trial.supervisor()?;
        nodes::make(trial, row).await?;
        let keys = Keys::make(&kubeadm, &directory).await?;
        let labels = trial.cluster_labels();
        make_kinds(trial.client(), &labels, kinds(&kinds_directory(&kamaji), &keys)?).await?;
        let mut datastores = Vec::new();
        for i in 0..row.datastores {
            let store =
                DataStore::start(trial, &supervisor, &keys, &datastore_name(i), &directory, row.authority_key).await?;
            trial.observe(store.component());
            datastores.push(store);
        }
        let settings = operator::Settings {
            program: kamaji.used.path.clone(),
            kubeconfig: trial.kubeconfig().to_owned(),
            namespace: trial.namespace().to_owned(),
            directory: directory.clone(),
            datastore: datastore_name(0),
            reconciles: row.reconciles,
            proxy: proxy.to_owned(),
        };
        let operator = Operator::start(settings, &keys, &supervisor).await?;
        trial.observe(operator.component());
        webhooks::register(trial.client(), &labels, &keys).await?;
        Ok(Self { operator, datastores, keys, supervisor, directory })
    }
}

/// Where the kinds are that belong to the operator's build.
fn kinds_directory(kamaji: &Program) -> PathBuf {
    std::env::var_os(KINDS).map_or_else(|| kamaji.module.join(MODULE_KINDS), PathBuf::from)
}

/// The kinds, with conversion by the operator's own address: it is no Service here.
fn kinds(directory: &Path, keys: &Keys) -> Result<Vec<CustomResourceDefinition>, Error> {
    let unreadable = |error: std::io::Error| {
        Error::Environment(format!("cannot read the kinds of Kamaji in {}: {error}", directory.display()))
    };
    let entries = std::fs::read_dir(directory).map_err(unreadable)?.flatten();
    let mut files: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    files.retain(|file| file.ends_with(".yaml"));
    files.sort_unstable();
    let mut kinds = read_kinds(directory, &files.iter().map(String::as_str).collect::<Vec<_>>())?;
    for kind in &mut kinds {
        if let Some(webhook) = kind.spec.conversion.as_mut().and_then(|conversion| conversion.webhook.as_mut()) {
            webhook.client_config = Some(WebhookClientConfig {
                url: Some(webhooks::url("/convert")),
                ca_bundle: Some(keys.authority()?),
                service: None,
            });
        }
    }
    Ok(kinds)
}
