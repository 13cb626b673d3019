//! What a request is for, by its path (distribution specification, "Endpoints").

use serde::{Deserialize, Serialize};

/// The kind of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A manifest or an index, by tag or by digest.
    Manifest,
    /// A configuration or a layer.
    Blob,
    /// Anything else: the API's version, uploads, lists of tags.
    Other,
}

impl Kind {
    /// The kind of what a path asks for, with its query or without.
    pub fn of(path: &str) -> Self {
        target(path.split('?').next().unwrap_or(path)).0
    }
}

/// The kind of what is asked for, and its digest when the path has one.
pub(crate) fn target(path: &str) -> (Kind, Option<&str>) {
    let Some(rest) = path.strip_prefix("/v2/") else { return (Kind::Other, None) };
    // A repository's name may have slashes.
    let mut words = rest.rsplitn(3, '/');
    let (name, what, repository) = (words.next(), words.next(), words.next());
    let digest = name.filter(|name| name.contains(':'));
    match (what, repository) {
        (Some("manifests"), Some(_)) => (Kind::Manifest, digest),
        (Some("blobs"), Some(_)) if digest.is_some() => (Kind::Blob, digest),
        _ => (Kind::Other, None),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_query_changes_nothing() {
        assert_eq!(Kind::of("/v2/a/b/blobs/sha256:12?ns=origin.test"), Kind::Blob);
    }

    #[rstest]
    #[case::version("/v2/", (Kind::Other, None))]
    #[case::tag("/v2/app/manifests/v1", (Kind::Manifest, None))]
    #[case::digest("/v2/a/b/manifests/sha256:12", (Kind::Manifest, Some("sha256:12")))]
    #[case::blob("/v2/a/b/c/blobs/sha256:12", (Kind::Blob, Some("sha256:12")))]
    #[case::upload("/v2/app/blobs/uploads/", (Kind::Other, None))]
    #[case::session("/v2/app/blobs/uploads/5f0c", (Kind::Other, None))]
    #[case::tags("/v2/app/tags/list", (Kind::Other, None))]
    #[case::no_repository("/v2/blobs/sha256:12", (Kind::Other, None))]
    #[case::not_the_api("/metrics", (Kind::Other, None))]
    fn a_path_says_what_is_asked_for(#[case] path: &str, #[case] wanted: (Kind, Option<&str>)) {
        assert_eq!(target(path), wanted);
    }
}
