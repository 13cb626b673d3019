//! The settings of the registry of the CNCF distribution project, which the proxy stands before.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs_err as fs;

use crate::error::{Error, Result};

/// A registry that is to be started: whoever supervises processes starts its program with [`Self::args`].
#[derive(Clone, Debug)]
pub struct RegistryConfig {
    /// Where it will listen.
    pub address: SocketAddr,
    file: PathBuf,
}

/// The settings of a registry that keeps its content in `directory` and listens on `address`. JSON, which is YAML.
///
/// Blobs can be deleted, so that a suite can take an image away; nothing is compressed, mirrored or checked anew.
pub fn registry_settings(directory: &Path, address: &str) -> serde_json::Value {
    serde_json::json!({
        "version": "0.1",
        "log": {"level": "info", "formatter": "json", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": directory},
            "delete": {"enabled": true},
            "cache": {"blobdescriptor": "inmemory"},
            // It would walk through all content soon after the start.
            "maintenance": {"uploadpurging": {"enabled": false}},
        },
        "http": {"addr": address},
    })
}

impl RegistryConfig {
    /// Writes the settings of a registry that keeps its content in `directory` and listens on a free port of loopback.
    ///
    /// # Errors
    /// When the directory cannot be written, or no port is free.
    pub fn write(directory: &Path) -> Result<Self> {
        let doing = || format!("write the settings of a registry into {}", directory.display());
        fs::create_dir_all(directory).map_err(Error::io(doing()))?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(Error::io("find a free port for a registry"))?;
        let settings = registry_settings(&directory.join("content"), &address.to_string());
        let file = directory.join("registry.yaml");
        fs::write(&file, settings.to_string()).map_err(Error::io(doing()))?;
        Ok(Self { address, file })
    }

    /// The arguments that its program takes.
    pub fn args(&self) -> Vec<String> {
        vec!["serve".to_owned(), self.file.display().to_string()]
    }

    /// The environment that its program takes beside what every process gets: no traces are exported.
    pub fn env(&self) -> Vec<(String, String)> {
        vec![("OTEL_TRACES_EXPORTER".to_owned(), "none".to_owned())]
    }

    /// Waits until it answers.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn wait_ready(&self, limit: Duration) -> Result<()> {
        const PAUSE: Duration = Duration::from_millis(20);
        let started = Instant::now();
        loop {
            match ureq::get(format!("http://{}/v2/", self.address)).call() {
                Ok(_) => return Ok(()),
                Err(source) if started.elapsed() > limit => {
                    let doing = format!("reach the registry at {} within {limit:?}", self.address);
                    return Err(Error::Unreachable { doing, source: source.into() });
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}
