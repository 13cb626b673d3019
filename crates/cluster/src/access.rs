//! The way to a cluster of others: one context of a kubeconfig, found as kubectl finds it and made to stand alone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster, NamedContext};
use kube::{Client, Config};
use sha2::{Digest as _, Sha256};

use crate::api::quiet;
use crate::error::{Error, Result};

/// Characters of a server's name in the name of its fixture; with the rest that makes 40, the longest name of a cluster.
const HOST_CHARS: usize = 24;

/// What to look at when nobody answers.
const UNREACHABLE: &str = "is it up, and is a VPN or a proxy (HTTPS_PROXY, `proxy-url`) needed?";

/// How to reach a cluster, and as whom.
#[derive(Clone, Debug)]
pub struct Access {
    /// The context's name.
    pub context: String,
    /// The apiserver's URL.
    pub server: String,
    /// The name that the kubeconfig gives to the user.
    pub user: String,
    kubeconfig: Kubeconfig,
}

impl Access {
    /// Reads those of `files` that are there, merged as kubectl merges them, and takes `context` out of them, or the
    /// current one. File references become absolute and stay references, so that credentials which are renewed in their
    /// files stay fresh; credential plugins are kept.
    ///
    /// # Errors
    /// When there is no file, one is no kubeconfig, the context is not there, or a file that it refers to is missing.
    pub fn read(files: &[PathBuf], context: Option<&str>) -> Result<Self> {
        let mut merged = Kubeconfig::default();
        let mut found = Vec::new();
        for path in files.iter().filter(|path| path.exists()) {
            let path = std::path::absolute(path).map_err(Error::io("find", path))?;
            let read = Kubeconfig::read_from(&path).and_then(|file| merged.merge(file));
            merged = read.map_err(|error| bad_kubeconfig(&path, &error))?;
            found.push(path);
        }
        if found.is_empty() {
            return Err(Error::NoKubeconfig(files.to_vec()));
        }
        let known = || merged.contexts.iter().map(|named| named.name.clone()).collect::<Vec<_>>();
        let Some(name) = context.map(str::to_owned).or(merged.current_context.clone().filter(|name| !name.is_empty()))
        else {
            return Err(Error::NoCurrentContext { files: found, known: known() });
        };
        let Some(context) = merged.contexts.iter().find(|named| named.name == name).and_then(|n| n.context.clone())
        else {
            return Err(Error::NoSuchContext { name, files: found, known: known() });
        };
        let bad = |message: String| Error::BadKubeconfig { path: found[0].clone(), line: None, message };
        let cluster = merged.clusters.iter().find(|named| named.name == context.cluster);
        let cluster = cluster.and_then(|named| named.cluster.clone());
        let cluster = cluster
            .ok_or_else(|| bad(format!("context `{name}` is of cluster `{}`, which is not there", context.cluster)))?;
        let server = cluster.server.clone();
        let server = server.ok_or_else(|| bad(format!("cluster `{}` has no `server`", context.cluster)))?;
        let user = context.user.clone().unwrap_or_default();
        let auth = merged.auth_infos.iter().find(|named| named.name == user).and_then(|named| named.auth_info.clone());
        let alone = Kubeconfig {
            kind: Some("Config".to_owned()),
            api_version: Some("v1".to_owned()),
            current_context: Some(name.clone()),
            clusters: vec![NamedCluster {
                name: context.cluster.clone(),
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo { name: user.clone(), auth_info: auth, ..NamedAuthInfo::default() }],
            contexts: vec![NamedContext { name: name.clone(), context: Some(context), ..NamedContext::default() }],
            ..Kubeconfig::default()
        };
        if let Some((field, path)) = references(&alone).find(|(_, path)| !Path::new(path).is_file()) {
            return Err(bad(format!("`{field}` of context `{name}` is {path}, which is no file")));
        }
        Ok(Self { context: name, server, user, kubeconfig: alone })
    }

    /// The kubeconfig of this context alone, as JSON, which is YAML.
    pub fn kubeconfig(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.kubeconfig).unwrap_or_default()
    }

    /// The name of the cluster's fixture. It follows from the server alone, so that two contexts of one cluster share
    /// one lease.
    pub fn fixture_name(&self) -> String {
        let host = self.server.split("://").last().unwrap_or_default();
        let host = host.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        format!("existing-{}-{}", host.take(HOST_CHARS).collect::<String>(), &hash(self.server.as_bytes())[..6])
    }

    /// Hash of all that says how to reach the cluster and as whom.
    pub fn key(&self) -> String {
        hash(&self.kubeconfig())[..16].to_owned()
    }

    /// A client that never retries.
    ///
    /// # Errors
    /// When the credentials or the proxy cannot be used.
    pub async fn client(&self) -> Result<Client> {
        Client::try_from(self.config().await?).map_err(|error| match &error {
            // A credential plugin runs before the first request.
            kube::Error::Auth(_) => self.refused(&error),
            other => self.unusable(innermost(other)),
        })
    }

    /// The configuration of a client that never retries.
    ///
    /// # Errors
    /// When the credentials or the proxy cannot be used.
    pub async fn config(&self) -> Result<Config> {
        quiet(self.kubeconfig.clone()).await.map_err(|error| self.unusable(innermost(&error)))
    }

    /// What an answer of the apiserver to the very first question says, with its fix.
    pub(crate) fn refused(&self, error: &kube::Error) -> Error {
        let status = match error {
            kube::Error::Api(status) => status.code,
            _ => 0,
        };
        let (cause, fix) = match (status, error) {
            (401, _) => (
                format!("it refuses the credentials of user `{}` (401 Unauthorized)", self.user),
                "they may have expired: log in again, or name another --context",
            ),
            (403, kube::Error::Api(status)) => {
                (one_line(&status.message), "ask its administrator for the right, or name another --context")
            }
            (_, kube::Error::Auth(error)) => (
                one_line(&error.to_string()),
                "run the login command of its credential plugin, or name another --context",
            ),
            _ => (innermost(error), UNREACHABLE),
        };
        self.no_access(cause, fix)
    }

    /// That the apiserver did not answer in time.
    pub(crate) fn silent(&self, patience: Duration) -> Error {
        self.no_access(format!("no answer within {} s", patience.as_secs()), UNREACHABLE)
    }

    fn unusable(&self, cause: String) -> Error {
        self.no_access(cause, "correct the kubeconfig, or name another --context")
    }

    fn no_access(&self, cause: String, fix: &str) -> Error {
        Error::NoAccess { server: self.server.clone(), context: self.context.clone(), cause, fix: fix.to_owned() }
    }
}

/// The files that a kubeconfig refers to and that are used, with the fields that name them.
fn references(kubeconfig: &Kubeconfig) -> impl Iterator<Item = (&'static str, &str)> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let of_clusters = clusters.map(|cluster| {
        let used = cluster.certificate_authority.as_deref().filter(|_| cluster.certificate_authority_data.is_none());
        ("certificate-authority", used)
    });
    let users = kubeconfig.auth_infos.iter().filter_map(|named| named.auth_info.as_ref());
    let of_users = users.flat_map(|user| {
        [
            (
                "client-certificate",
                user.client_certificate.as_deref().filter(|_| user.client_certificate_data.is_none()),
            ),
            ("client-key", user.client_key.as_deref().filter(|_| user.client_key_data.is_none())),
            ("tokenFile", user.token_file.as_deref().filter(|_| user.token.is_none())),
        ]
    });
    of_clusters.chain(of_users).filter_map(|(field, path)| Some((field, path?)))
}

fn bad_kubeconfig(path: &Path, error: &KubeconfigError) -> Error {
    let (line, message) = match error {
        KubeconfigError::Parse(error) => {
            (error.location().map(|location| location.line() as usize), error.without_snippet().to_string())
        }
        KubeconfigError::ReadConfig(error, _) => (None, error.to_string()),
        other => (None, other.to_string()),
    };
    Error::BadKubeconfig { path: path.to_owned(), line, message: one_line(&message) }
}

/// The cause below all causes: what is above it only says that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    one_line(&cause.to_string())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const FILE: &str = r#"
apiVersion: v1
kind: Config
clusters:
- name: prod
  cluster: {server: "https://Kube.example:6443", certificate-authority: pki/ca.crt, proxy-url: "http://proxy.example:3128"}
- name: lab
  cluster: {server: "https://10.0.0.1:6443"}
users:
- name: plugin
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./bin/login
      args: [--cluster, prod]
      env: [{name: REGION, value: eu}]
      interactiveMode: IfAvailable
- name: token
  user: {tokenFile: token}
- name: secret
  user: {token: s3cret}
contexts:
- name: prod
  context: {cluster: prod, user: plugin}
- name: lab
  context: {cluster: lab, user: token}
- name: nowhere
  context: {cluster: gone, user: token}
current-context: prod
"#;

    /// A directory with `config` and the files that it refers to.
    fn directory(text: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("pki")).unwrap();
        for (name, text) in [("config", text), ("pki/ca.crt", "ca"), ("token", "t")] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn one_context_stands_alone_with_its_plugin_and_absolute_paths() {
        let dir = directory(FILE);
        let access = Access::read(&[dir.path().join("config")], None).unwrap();
        assert_eq!((access.context.as_str(), access.server.as_str()), ("prod", "https://Kube.example:6443"));
        let text = String::from_utf8(access.kubeconfig()).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("10.0.0.1"), "others' credentials are not copied: {text}");
        let path = dir.path().join("alone");
        std::fs::write(&path, &text).unwrap();
        let alone = Kubeconfig::read_from(&path).unwrap();
        let cluster = alone.clusters[0].cluster.as_ref().unwrap();
        let ca = dir.path().join("pki/ca.crt").display().to_string();
        assert_eq!(cluster.certificate_authority.as_deref(), Some(ca.as_str()));
        assert_eq!(cluster.proxy_url.as_deref(), Some("http://proxy.example:3128"));
        let exec = alone.auth_infos[0].auth_info.as_ref().unwrap().exec.as_ref().unwrap();
        assert_eq!(exec.command.as_deref(), Some(dir.path().join("./bin/login").to_str().unwrap()));
        assert_eq!(exec.args.as_deref(), Some(&["--cluster".to_owned(), "prod".to_owned()][..]));
        assert_eq!(exec.env.as_ref().unwrap()[0]["value"], "eu");
        assert_eq!(alone.current_context.as_deref(), Some("prod"));
    }

    #[test]
    fn the_first_of_several_files_wins_and_a_missing_one_is_passed_over() {
        let (first, second) =
            (directory(FILE), directory(&FILE.replace("current-context: prod", "current-context: lab")));
        let files = [first.path().join("none"), second.path().join("config"), first.path().join("config")];
        let access = Access::read(&files, None).unwrap();
        assert_eq!(access.context, "lab");
        let text = String::from_utf8(access.kubeconfig()).unwrap();
        assert!(text.contains(&second.path().join("token").display().to_string()), "{text}");
    }

    #[test]
    fn a_fixture_is_named_after_its_server_and_keyed_by_all_of_the_context() {
        let dir = directory(FILE);
        let read = |context| Access::read(&[dir.path().join("config")], Some(context)).unwrap();
        let (prod, lab) = (read("prod"), read("lab"));
        assert!(prod.fixture_name().starts_with("existing-kube-example-6443-"), "{}", prod.fixture_name());
        assert!(prod.fixture_name().len() <= 40 && prod.fixture_name() != lab.fixture_name());
        assert_ne!(prod.key(), lab.key());
    }

    #[rstest]
    #[case::unknown_context(
        FILE,
        Some("prd"),
        "there is no context `prd` in [DIR]/config; there are prod, lab, nowhere"
    )]
    #[case::no_current_context(
        &FILE.replace("current-context: prod", ""), None, "[DIR]/config has no current context: name one of prod, lab, nowhere with --context"
    )]
    #[case::no_cluster(
        FILE,
        Some("nowhere"),
        "[DIR]/config: context `nowhere` is of cluster `gone`, which is not there"
    )]
    #[case::no_server(&FILE.replace("{server: \"https://10.0.0.1:6443\"}", "{}"), Some("lab"), "[DIR]/config: cluster `lab` has no `server`")]
    #[case::missing_file(
        &FILE.replace("tokenFile: token", "tokenFile: tokn"), Some("lab"), "[DIR]/config: `tokenFile` of context `lab` is [DIR]/tokn, which is no file"
    )]
    #[case::broken_yaml("clusters:\n- name: [\n", None, "[DIR]/config:")]
    #[case::other_yaml("clusters: 5\n", None, "[DIR]/config:1: ")]
    #[case::binary("\u{0}\u{1}", None, "[DIR]/config")]
    #[case::empty("", None, "[DIR]/config has no current context: it has no contexts at all")]
    fn a_bad_kubeconfig_is_refused_with_its_cause(
        #[case] text: &str,
        #[case] context: Option<&str>,
        #[case] message: &str,
    ) {
        let dir = directory(text);
        let error = Access::read(&[dir.path().join("config")], context).unwrap_err().to_string();
        let error = error.replace(&dir.path().display().to_string(), "[DIR]");
        assert!(error.starts_with(message) && !error.contains('\n'), "{error}");
    }

    #[tokio::test]
    async fn a_credential_plugin_that_is_not_there_is_told_apart_from_a_silent_server() {
        let dir = directory(&FILE.replace("certificate-authority: pki/ca.crt, ", "").replace("IfAvailable", "Never"));
        let access = Access::read(&[dir.path().join("config")], None).unwrap();
        let error = access.client().await.map(drop).unwrap_err().to_string();
        assert!(error.contains("unable to run auth exec: No such file or directory"), "{error}");
        assert!(
            error.ends_with("run the login command of its credential plugin, or name another --context"),
            "{error}"
        );
    }

    #[test]
    fn no_kubeconfig_at_all_says_where_it_was_looked_for() {
        let error = Access::read(&[PathBuf::from("/nonexistent/config")], None).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no kubeconfig at /nonexistent/config: name one with --kubeconfig FILE, or set KUBECONFIG"
        );
    }
}
