//! What the objects of the tenants cost the apiserver without an operator: the same Secrets and ConfigMaps, written one
//! after the other.

use std::time::Instant;

use harness::{Error, Result, Trial};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};

/// Label of the copies.
const COPY: &str = "kubedyno.io/copy";

/// The Secrets and ConfigMaps of one tenant, as they are when it is Ready.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    secrets: Vec<Secret>,
    config_maps: Vec<ConfigMap>,
}

impl Objects {
    /// Those of the tenant called `name`.
    ///
    /// # Errors
    /// When the apiserver refuses.
    pub async fn of(trial: &Trial, name: &str) -> Result<Self> {
        let owned = ListParams::default().labels(&format!("kamaji.clastix.io/name={name}"));
        let secrets: Api<Secret> = Api::namespaced(trial.client().clone(), trial.namespace());
        let config_maps: Api<ConfigMap> = Api::namespaced(trial.client().clone(), trial.namespace());
        let what = || Error::api(format!("cannot list the objects of {name}"));
        Ok(Self {
            secrets: secrets.list(&owned).await.map_err(what())?.items,
            config_maps: config_maps.list(&owned).await.map_err(what())?.items,
        })
    }

    /// How many there are, and bytes in their values.
    pub fn size(&self) -> (usize, usize) {
        let secret = |secret: &Secret| secret.data.iter().flatten().map(|(_, value)| value.0.len()).sum::<usize>();
        let config = |map: &ConfigMap| map.data.iter().flatten().map(|(_, value)| value.len()).sum::<usize>();
        let bytes = self.secrets.iter().map(secret).sum::<usize>() + self.config_maps.iter().map(config).sum::<usize>();
        (self.secrets.len() + self.config_maps.len(), bytes)
    }

    /// Writes copies of them for `tenants` tenants, and says how many seconds those of one took; then removes them.
    ///
    /// # Errors
    /// When the apiserver refuses.
    pub async fn write_again(&self, trial: &Trial, tenants: u32) -> Result<f64> {
        let secrets: Api<Secret> = Api::namespaced(trial.client().clone(), trial.namespace());
        let config_maps: Api<ConfigMap> = Api::namespaced(trial.client().clone(), trial.namespace());
        let what = || Error::api("cannot write a copy of a tenant's object");
        let post = PostParams::default();
        let metadata = |name: Option<&String>, i: u32| {
            let mut labels = trial.labels();
            labels.insert(COPY.to_owned(), String::new());
            let name = name.map(|name| format!("copy-{i}-{name}"));
            ObjectMeta { name, labels: Some(labels), ..ObjectMeta::default() }
        };
        let began = Instant::now();
        for i in 0..tenants {
            for secret in &self.secrets {
                let metadata = metadata(secret.metadata.name.as_ref(), i);
                let copy = Secret { metadata, data: secret.data.clone(), ..Secret::default() };
                secrets.create(&post, &copy).await.map_err(what())?;
            }
            for map in &self.config_maps {
                let metadata = metadata(map.metadata.name.as_ref(), i);
                let copy = ConfigMap { metadata, data: map.data.clone(), ..ConfigMap::default() };
                config_maps.create(&post, &copy).await.map_err(what())?;
            }
        }
        let took = began.elapsed().as_secs_f64() / f64::from(tenants.max(1));
        let copies = ListParams::default().labels(COPY);
        let what = || Error::api("cannot remove the copies of a tenant's objects");
        secrets.delete_collection(&DeleteParams::default(), &copies).await.map_err(what())?;
        config_maps.delete_collection(&DeleteParams::default(), &copies).await.map_err(what())?;
        Ok(took)
    }
}
