//! What a DataStore holds, as its administrator sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::Error;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::keys::Keys;

/// An administrator of one etcd.
#[derive(Clone, Debug)]
pub struct Etcdctl {
    pub(super) program: PathBuf,
    pub(super) endpoint: String,
    pub(super) keys: Keys,
}

/// What an etcd holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Keys.
    pub keys: BTreeMap<Vec<u8>, Key>,
    /// Users.
    pub users: Vec<String>,
    /// Roles.
    pub roles: Vec<String>,
}

/// A key, without its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The revision at which it was last written.
    pub revision: u64,
    /// Whether it goes by itself when its lease ends.
    pub leased: bool,
}

/// A range of keys that a role may read and write: from `key` to before `range_end`; that key alone when there is no end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Its first key.
    pub key: Vec<u8>,
    /// The key behind its last.
    pub range_end: Vec<u8>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<KeyValue>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: Base64,
    mod_revision: u64,
    #[serde(default)]
    lease: i64,
}

#[derive(Deserialize)]
struct Users {
    #[serde(default)]
    users: Vec<String>,
}

#[derive(Deserialize)]
struct Roles {
    #[serde(default)]
    roles: Vec<String>,
}

#[derive(Deserialize)]
struct Role {
    #[serde(default)]
    perm: Vec<Perm>,
}

#[derive(Deserialize)]
struct Perm {
    key: Base64,
    range_end: Option<Base64>,
}

/// Bytes as Kubernetes and etcd both write them in JSON.
type Base64 = k8s_openapi::ByteString;

impl Etcdctl {
    /// Everything that it holds.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn account(&self) -> Result<Account, Error> {
        let Range { kvs } = self.json(&["get", "", "--prefix", "--keys-only"]).await?;
        let Users { users } = self.json(&["user", "list"]).await?;
        let Roles { roles } = self.json(&["role", "list"]).await?;
        let key = |kv: KeyValue| (kv.key.0, Key { revision: kv.mod_revision, leased: kv.lease != 0 });
        let keys = kvs.into_iter().map(key).collect();
        Ok(Account { keys, users, roles })
    }

    /// What a role may touch.
    ///
    /// # Errors
    /// When there is no such role.
    pub async fn permissions(&self, role: &str) -> Result<Vec<Permission>, Error> {
        let Role { perm } = self.json(&["role", "get", role]).await?;
        let permission =
            |perm: Perm| Permission { key: perm.key.0, range_end: perm.range_end.map(|end| end.0).unwrap_or_default() };
        Ok(perm.into_iter().map(permission).collect())
    }

    async fn json<T: DeserializeOwned>(&self, args: &[&str]) -> Result<T, Error> {
        let text = self.run(&[args, &["--write-out", "json"]].concat()).await?;
        let garbage = |error| Error::Environment(format!("etcdctl {}: {error}: {text}", args.join(" ")));
        serde_json::from_str(&text).map_err(garbage)
    }

    /// Runs a command; returns what it printed.
    ///
    /// # Errors
    /// When etcd refuses, or does not answer.
    pub async fn run(&self, args: &[&str]) -> Result<String, Error> {
        let (crt, key) = (self.keys.file("apiserver-etcd-client.crt"), self.keys.file("apiserver-etcd-client.key"));
        self.run_as(&crt, &key, args).await
    }

    /// The same with another certificate.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_as(&self, crt: &Path, key: &Path, args: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        command.args(["--endpoints", &self.endpoint, "--cacert"]).arg(self.keys.file("etcd/ca.crt"));
        command.arg("--cert").arg(crt).arg("--key").arg(key).args(args).kill_on_drop(true);
        let failed = |why: String| Error::Environment(format!("etcdctl {}: {why}", args.join(" ")));
        let output = command.output().await.map_err(|error| failed(error.to_string()))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        }
    }
}

impl Account {
    /// Keys that are there in one of both and not in the other, or were written in between, but for those that begin with
    /// `prefix` or went by themselves.
    pub fn changed_since(&self, before: &Self, prefix: &[u8]) -> Vec<String> {
        let kept = |(key, held): &(&Vec<u8>, &Key)| !held.leased && !key.starts_with(prefix);
        let (was, is) = (before.keys.iter().filter(kept), self.keys.iter().filter(kept));
        let gone = was.filter(|(key, held)| self.keys.get(*key) != Some(held));
        let new = is.filter(|(key, _)| !before.keys.contains_key(*key));
        gone.chain(new).map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// How many keys begin with `prefix`.
    pub fn below(&self, prefix: &[u8]) -> usize {
        self.keys.keys().filter(|key| key.starts_with(prefix)).count()
    }
}

impl Permission {
    /// Whether it covers some key that begins with `prefix`.
    pub fn reaches(&self, prefix: &[u8]) -> bool {
        if self.range_end.is_empty() {
            return self.key.starts_with(prefix);
        }
        // A range with the end "\0" has none (`api/etcdserverpb/rpc.proto`).
        let ends_before = self.range_end != [0] && self.range_end.as_slice() <= prefix;
        let begins_behind = self.key.as_slice() > prefix && !self.key.starts_with(prefix);
        !ends_before && !begins_behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_key_that_was_written_gone_or_new_has_changed() {
        let account = |keys: &[(&str, u64, bool)]| {
            let key = |(key, revision, leased): &(&str, u64, bool)| {
                (key.as_bytes().to_vec(), Key { revision: *revision, leased: *leased })
            };
            Account { keys: keys.iter().map(key).collect(), ..Account::default() }
        };
        let before = account(&[("/a/x", 1, false), ("/b/x", 2, false), ("/b/y", 3, false), ("/b/lease", 4, true)]);
        let after = account(&[("/b/x", 2, false), ("/b/y", 9, false), ("/c/x", 5, false)]);
        assert_eq!(after.changed_since(&before, b"/a/"), ["/b/y", "/c/x"]);
        assert_eq!((before.below(b"/b/"), after.below(b"/a/")), (3, 0));
    }

    fn permission(key: &[u8], range_end: &[u8]) -> Permission {
        Permission { key: key.to_vec(), range_end: range_end.to_vec() }
    }

    #[rstest]
    #[case::its_own(b"/ns_a/", b"/ns_a0", b"/ns_a/", true)]
    #[case::another_that_begins_alike(b"/ns_a/", b"/ns_a0", b"/ns_a1/", false)]
    #[case::one_before(b"/ns_b/", b"/ns_b0", b"/ns_a/", false)]
    #[case::one_behind_in_a_range_without_end(b"/ns_a/", b"\0", b"/ns_b/", true)]
    #[case::one_behind_in_a_range_to_a_backslash(b"/ns_a/", b"\\0", b"/ns_b/", true)]
    #[case::one_before_in_a_range_to_a_backslash(b"/ns_b/", b"\\0", b"/ns_a/", false)]
    #[case::a_single_key(b"/ns_a/x", b"", b"/ns_a/", true)]
    #[case::a_single_key_of_another(b"/ns_a/x", b"", b"/ns_b/", false)]
    fn a_range_reaches_what_lies_in_it(
        #[case] key: &[u8],
        #[case] end: &[u8],
        #[case] prefix: &[u8],
        #[case] reaches: bool,
    ) {
        assert_eq!(permission(key, end).reaches(prefix), reaches);
    }
}
