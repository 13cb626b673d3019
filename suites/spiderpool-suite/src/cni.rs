//! A CNI plugin as an executable: one process a request (CNI specification 1.0.0, section 2).

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use harness::Supervisor;
use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::plugin::{Failure, INTERFACE, Sandbox};

/// Characters of an answer that are quoted.
const QUOTED: usize = 300;

/// A plugin's executable.
#[derive(Clone, Debug)]
pub struct Cni {
    /// The program.
    pub program: PathBuf,
    /// Whose group its processes join.
    pub supervisor: Arc<Supervisor>,
    /// How many of it may run at once on this machine.
    pub at_once: Arc<Semaphore>,
    /// After this long it is killed: kubelet waits 4 minutes for a sandbox (twice its `runtimeRequestTimeout`).
    pub patience: Duration,
    /// What it is told to be every sandbox's network namespace; a path that is not there when there is none.
    pub netns: Option<PathBuf>,
}

/// A result of ADD.
#[derive(Deserialize)]
struct Added {
    #[serde(default)]
    ips: Vec<Ip>,
}

#[derive(Deserialize)]
struct Ip {
    address: String,
}

/// An error of any command.
#[derive(Deserialize)]
struct Refusal {
    code: u64,
    msg: String,
    #[serde(default)]
    details: String,
}

impl Cni {
    /// `CNI_COMMAND=ADD`.
    ///
    /// # Errors
    /// When the plugin refuses, hangs, or prints something else than a result.
    pub async fn add(&self, sandbox: &Sandbox, config: &Value) -> Result<Vec<IpAddr>, Failure> {
        addresses(&self.exec("ADD", sandbox, config).await?)
    }

    /// `CNI_COMMAND=DEL`.
    ///
    /// # Errors
    /// When the plugin refuses or hangs.
    pub async fn del(&self, sandbox: &Sandbox, config: &Value) -> Result<(), Failure> {
        self.exec("DEL", sandbox, config).await.map(drop)
    }

    /// `CNI_COMMAND=VERSION`, of which a plugin takes notice without doing anything.
    ///
    /// # Errors
    /// When the program cannot be run, or fails.
    pub async fn version(&self) -> Result<(), Failure> {
        let nobody = Sandbox::default();
        self.exec("VERSION", &nobody, &serde_json::json!({"cniVersion": "1.0.0"})).await.map(drop)
    }

    async fn exec(&self, command: &str, sandbox: &Sandbox, config: &Value) -> Result<Vec<u8>, Failure> {
        let _permit = self.at_once.acquire().await;
        let unreachable =
            |error: std::io::Error| Failure::Unreachable(format!("cannot run {}: {error}", self.program.display()));
        let mut child = Command::new(&self.program)
            .env_clear()
            .envs(Supervisor::environment())
            .envs(self.environment(command, sandbox))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(self.supervisor.group())
            // A machine that loses power leaves no plugin running.
            .kill_on_drop(true)
            .spawn()
            .map_err(unreachable)?;
        let mut stdin = child.stdin.take();
        let talk = async {
            if let Some(stdin) = &mut stdin {
                // A plugin that ends without reading says why on its output.
                stdin.write_all(config.to_string().as_bytes()).await.ok();
            }
            drop(stdin);
            child.wait_with_output().await
        };
        let output = match tokio::time::timeout(self.patience, talk).await {
            Ok(output) => output.map_err(unreachable)?,
            Err(_) => return Err(Failure::Silent(self.patience.as_secs())),
        };
        match output.status.success() {
            true => Ok(output.stdout),
            false => Err(refusal(&output.stdout, &output.stderr)),
        }
    }

    fn environment(&self, command: &str, sandbox: &Sandbox) -> [(&'static str, String); 7] {
        let Sandbox { node, namespace, pod, uid, container } = sandbox;
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={container};K8S_POD_UID={uid}"
        );
        let path = |path: &Path| path.display().to_string();
        // It is not there: most IPAM plugins only look whether it is their own.
        let nowhere = || format!("/var/run/netns/{container}");
        [
            ("CNI_COMMAND", command.to_owned()),
            ("CNI_CONTAINERID", container.clone()),
            ("CNI_NETNS", self.netns.as_deref().map_or_else(nowhere, path)),
            ("CNI_IFNAME", INTERFACE.to_owned()),
            ("CNI_PATH", self.program.parent().map(path).unwrap_or_default()),
            ("CNI_ARGS", args),
            // What a DaemonSet's program would find out of its machine.
            ("NODENAME", node.clone()),
        ]
    }
}

/// The addresses of a result of ADD, without their prefixes.
fn addresses(stdout: &[u8]) -> Result<Vec<IpAddr>, Failure> {
    let garbage = || Failure::Garbage(quote(stdout));
    let added: Added = serde_json::from_slice(stdout).map_err(|_| garbage())?;
    let address = |ip: &Ip| ip.address.split('/').next()?.parse().ok();
    added.ips.iter().map(address).collect::<Option<_>>().ok_or_else(garbage)
}

fn refusal(stdout: &[u8], stderr: &[u8]) -> Failure {
    match serde_json::from_slice::<Refusal>(stdout) {
        Ok(Refusal { code, msg, details }) => {
            let details = if details.is_empty() { details } else { format!(" ({details})") };
            Failure::Refused(format!("{msg}{details} [code {code}]"))
        }
        Err(_) => Failure::Garbage(quote(&[stdout, stderr].concat())),
    }
}

fn quote(bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).trim().chars().take(QUOTED).collect();
    if text.is_empty() { "it said nothing".to_owned() } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use rstest::rstest;

    async fn answer(script: &str) -> Result<Vec<IpAddr>, Failure> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("plugin");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let cni = Cni {
            program,
            supervisor: Arc::new(Supervisor::start().unwrap()),
            at_once: Arc::new(Semaphore::new(1)),
            patience: Duration::from_millis(500),
            netns: None,
        };
        let sandbox = Sandbox {
            node: "n".to_owned(),
            namespace: "ns".to_owned(),
            pod: "web-1".to_owned(),
            uid: "u".to_owned(),
            container: "c0".to_owned(),
        };
        cni.add(&sandbox, &serde_json::json!({"name": "net"})).await
    }

    #[rstest]
    #[case::a_result(
        r#"cat >/dev/null; echo '{"ips":[{"address":"10.0.0.2/16"},{"address":"fd00::2/64"}]}'"#,
        Ok("10.0.0.2 fd00::2")
    )]
    #[case::told_by_the_environment(
        r#"echo "{\"ips\":[{\"address\":\"10.0.0.${#CNI_COMMAND}/16\"}]}""#,
        Ok("10.0.0.3")
    )]
    #[case::a_refusal(r#"echo '{"code":11,"msg":"pool is full","details":""}'; exit 1"#, Err("pool is full [code 11]"))]
    #[case::garbage("echo oops", Err("no answer that can be understood: `oops`"))]
    #[case::garbage_and_a_failure("echo oops >&2; exit 2", Err("no answer that can be understood: `oops`"))]
    #[case::nothing("exit 1", Err("no answer that can be understood: it said nothing"))]
    #[case::a_hang("exec sleep 60", Err("no answer within 0 s"))]
    #[tokio::test]
    async fn whatever_a_plugin_does_is_an_answer(#[case] script: &str, #[case] wanted: Result<&str, &str>) {
        let wanted = wanted.map(|all| all.split(' ').map(|address| address.parse().unwrap()).collect::<Vec<IpAddr>>());
        // A script that was written a moment ago can be busy while another test forks.
        let mut found = answer(script).await;
        while found.as_ref().is_err_and(|failure| failure.to_string().contains("busy")) {
            found = answer(script).await;
        }
        assert_eq!(found.map_err(|failure| failure.to_string()), wanted.map_err(str::to_owned));
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let cni = Cni {
            program: "/nowhere/plugin".into(),
            supervisor: Arc::new(Supervisor::start().unwrap()),
            at_once: Arc::new(Semaphore::new(1)),
            patience: Duration::from_secs(1),
            netns: None,
        };
        let failure = cni.del(&Sandbox::default(), &Value::Null).await.unwrap_err();
        assert!(failure.to_string().starts_with("cannot run /nowhere/plugin: "), "{failure}");
    }
}
