//! What is pinned: the typed form of `pins.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::program::Source;

/// Every pinned program, in the order of `pins.toml`.
pub fn pins() -> &'static [Pin] {
    static PINS: LazyLock<Vec<Pin>> = LazyLock::new(|| {
        // The text is part of the build: it cannot be wrong for a user without being wrong for the tests.
        parse(include_str!("../pins.toml")).expect("the embedded pins.toml is tested to parse")
    });
    &PINS
}

/// One pinned program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// The program's file name, `kube-apiserver`.
    pub name: String,
    /// As its project writes it: `v1.36.3` for Kubernetes, `0.9.151` for cargo-nextest.
    pub version: String,
    /// The arguments that make it print its version.
    pub ask: Vec<String>,
    /// The program on `PATH` that tells its version, for one that does not tell it itself. (Not part of what another pin
    /// is known by in the cache.)
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The words that must stand in what it then prints.
    pub expect: String,
    /// The project's own build of it.
    pub release: Option<ReleasePin>,
    /// Its main package in a pinned Go module.
    pub go: Option<GoPin>,
    /// Its crate.
    pub cargo: Option<CargoPin>,
    /// Whether one on `PATH` will do that is at least this version.
    pub on_path: bool,
}

/// Where a project publishes its build. `{os}` and `{arch}` are still to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReleasePin {
    /// The file to download: the program, or a `.tar.gz` with it.
    pub url: String,
    /// A file with the sha256 of the other.
    pub checksums: Option<String>,
    /// The path of the program inside the `.tar.gz`.
    pub member: Option<String>,
    /// The platforms that there is a build for, `linux-amd64`.
    pub platforms: Vec<String>,
    /// Pinned sha256 digests in hex, by platform. They go before `checksums`.
    pub sha256: BTreeMap<String, String>,
}

/// A main package in one of the pinned Go modules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GoPin {
    /// The module's folder in the modules directory.
    pub group: String,
    /// The import path of the main package.
    pub package: String,
    /// The value of `-ldflags`.
    pub ldflags: String,
}

/// A crate with a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CargoPin {
    /// The crate's name on crates.io.
    pub package: String,
    /// Its features; the default ones are off.
    #[serde(default)]
    pub features: Vec<String>,
}

impl Pin {
    /// The environment variable that names a program to use instead: `KUBEDYNO_KUBE_APISERVER`.
    pub fn variable(&self) -> String {
        format!("KUBEDYNO_{}", self.name.to_uppercase().replace('-', "_"))
    }

    /// The same program at another version, from its release only. What is pinned is a digest or a module of this one.
    pub(crate) fn at_version(&self, version: &str) -> Self {
        let number = |version: &str| version.strip_prefix('v').unwrap_or(version).to_owned();
        let (old, new) = (number(&self.version), number(version));
        let other = |text: &String| text.replace(&old, &new);
        let release = self.release.as_ref().map(|release| ReleasePin {
            url: other(&release.url),
            checksums: release.checksums.as_ref().map(other),
            member: release.member.as_ref().map(other),
            platforms: release.platforms.clone(),
            sha256: BTreeMap::new(),
        });
        let (name, ask) = (self.name.clone(), self.ask.clone());
        let (version, expect) = (version.to_owned(), other(&self.expect));
        Self { name, version, ask, by: self.by.clone(), expect, release, go: None, cargo: None, on_path: false }
    }

    /// The ways to get it, in the order in which they are tried.
    pub(crate) fn recipes(&self) -> impl Iterator<Item = Recipe<'_>> {
        let release = self.release.iter().map(Recipe::Release);
        let go = self.go.iter().map(Recipe::GoModules);
        release.chain(go).chain(self.cargo.iter().map(Recipe::CargoInstall))
    }
}

/// One way to get a program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Recipe<'a> {
    Release(&'a ReleasePin),
    GoModules(&'a GoPin),
    CargoInstall(&'a CargoPin),
}

impl Recipe<'_> {
    pub(crate) fn source(self) -> Source {
        match self {
            Self::Release(_) => Source::Release,
            Self::GoModules(_) => Source::GoModules,
            Self::CargoInstall(_) => Source::CargoInstall,
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum PinsError {
    #[error("pins.toml does not parse")]
    Toml(#[from] toml::de::Error),
    #[error("{tool} in pins.toml is of an unknown {what} `{name}`")]
    Unknown { tool: String, what: &'static str, name: String },
}

pub(crate) fn parse(text: &str) -> Result<Vec<Pin>, PinsError> {
    let file: File = toml::from_str(text)?;
    file.tools.into_iter().map(|tool| tool.pin(&file.projects, &file.groups)).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    projects: BTreeMap<String, Project>,
    groups: BTreeMap<String, Group>,
    tools: Vec<Tool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Project {
    version: String,
    release: Option<Release>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    url: String,
    checksums: Option<String>,
    member: Option<String>,
    platforms: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    ldflags: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    name: String,
    project: String,
    ask: Vec<String>,
    by: Option<String>,
    expect: String,
    go: Option<GoTool>,
    cargo: Option<CargoPin>,
    #[serde(default)]
    sha256: BTreeMap<String, String>,
    #[serde(default)]
    on_path: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GoTool {
    group: String,
    package: String,
}

impl Tool {
    fn pin(self, projects: &BTreeMap<String, Project>, groups: &BTreeMap<String, Group>) -> Result<Pin, PinsError> {
        let unknown = |what, name: &str| PinsError::Unknown { tool: self.name.clone(), what, name: name.to_owned() };
        let project = projects.get(&self.project).ok_or_else(|| unknown("project", &self.project))?;
        let version = &project.version;
        let number = version.strip_prefix('v').unwrap_or(version);
        let fill = |template: &str| {
            template.replace("{name}", &self.name).replace("{version}", version).replace("{number}", number)
        };

        let release = project.release.as_ref().map(|release| ReleasePin {
            url: fill(&release.url),
            checksums: release.checksums.as_deref().map(fill),
            member: release.member.as_deref().map(fill),
            platforms: release.platforms.clone(),
            sha256: self.sha256.clone(),
        });
        let go = match &self.go {
            Some(GoTool { group, package }) => {
                let found = groups.get(group).ok_or_else(|| unknown("group", group))?;
                let ldflags = found.ldflags.clone();
                Some(GoPin { group: group.clone(), package: package.clone(), ldflags })
            }
            None => None,
        };
        Ok(Pin {
            version: version.clone(),
            expect: fill(&self.expect),
            release,
            go,
            cargo: self.cargo,
            on_path: self.on_path,
            ask: self.ask,
            by: self.by,
            name: self.name,
        })
    }
}
