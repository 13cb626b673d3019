//! What can go wrong with a fixture, in the user's words.

use std::path::{Path, PathBuf};

use crate::process::Process;

/// A result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a fixture could not be had, used or removed. Each message names the cause; where there is a fix it follows.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: "write", "read", "lock".
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A descriptor that this version does not understand.
    #[error(
        "{} has schema {found}, this kubedyno knows up to {known}: it was written by a newer version; update kubedyno, \
         or remove the cluster with that version (`cargo xtask cluster down --name {name}`), or with this one and --force",
        path.display()
    )]
    NewerSchema {
        /// The descriptor.
        path: PathBuf,
        /// The cluster's name.
        name: String,
        /// Its schema.
        found: u32,
        /// The newest schema known here.
        known: u32,
    },
    /// A descriptor that is no descriptor.
    #[error("{}:{line}: not a fixture descriptor: {message}; `cargo xtask cluster gc` removes it", path.display())]
    BadDescriptor {
        /// The file.
        path: PathBuf,
        /// Where in it.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A name that cannot name a cluster.
    #[error("`{0}` cannot name a cluster: use 1 to 40 lower-case letters, digits and `-`, beginning with a letter")]
    BadName(String),
    /// Not a slowdown.
    #[error(
        "`{text}` is no slowdown: {why}; write cpu:COMPONENT=FACTOR, network=DURATION, stage=DURATION or writes=SHARE"
    )]
    BadSlowdown {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// No fixture of that name.
    #[error(
        "there is no cluster `{0}`: `cargo xtask cluster up --name {0}` makes one, `cargo xtask cluster list` shows all"
    )]
    NoSuchCluster(String),
    /// A command died before it had made the cluster, or is about to make it.
    #[error("cluster `{name}` is {}", half_made(name, provider, *by, *processes))]
    HalfMade {
        /// Its name.
        name: String,
        /// Its provider.
        provider: &'static str,
        /// What runs of it on this machine.
        processes: usize,
        /// Who makes it; `None` when nobody does any more.
        by: Option<Process>,
    },
    /// A component ended while its cluster started.
    #[error(
        "{component} has exited ({exit}); {}; {}",
        line.as_ref().map_or_else(|| "its log is empty".to_owned(), |line| format!("the last line of its log: {line}")),
        fix
    )]
    Exited {
        /// The component.
        component: String,
        /// Its exit status.
        exit: String,
        /// The last line of its log.
        line: Option<String>,
        /// Where its program comes from, and what to do.
        fix: String,
        /// Whether its log says that another program has its port.
        port_taken: bool,
    },
    /// A component that is to be started again has lost its port.
    #[error(
        "port {port} of {component} is in use by another program: end that one (`ss -tlnp 'sport = :{port}'` names it), or \
         let `cargo xtask cluster up --name {cluster}` make the cluster anew with other ports"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The component.
        component: String,
        /// The cluster.
        cluster: String,
    },
    /// No file of that many workers.
    #[error(
        "there is no shape of {workers} workers: there are {}; write {}/1+{workers}.yaml after them, or give --nodes",
        known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        directory.display()
    )]
    NoSuchShape {
        /// The workers that were asked for.
        workers: usize,
        /// Where the shapes are.
        directory: PathBuf,
        /// The workers of those that there are.
        known: Vec<usize>,
    },
    /// No component of that name.
    #[error("`{cluster}` has no component `{component}`; it has {}", if known.is_empty() { "none of ours".to_owned() } else { known.join(", ") })]
    NoSuchComponent {
        /// The cluster.
        cluster: String,
        /// What was asked for.
        component: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// Simulated nodes that do not come up.
    #[error(
        "{ready} of {count} nodes are Ready, and for {}s no other became so: `cargo xtask cluster status` says what is wrong, \
         `cargo xtask cluster logs kwok-controller` what simulates them",
        stall.as_secs()
    )]
    NodesNotReady {
        /// Those that are.
        ready: usize,
        /// Those that were asked for.
        count: usize,
        /// How long none became Ready.
        stall: std::time::Duration,
    },
    /// The fixture does not work.
    #[error("cluster `{name}` is not healthy: {}; `{}` repairs it", problems.join("; "), up_command(provider, name))]
    Unhealthy {
        /// Its name.
        name: String,
        /// Its provider.
        provider: String,
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// An existing cluster does not answer.
    #[error("{server} does not serve: {}; `cargo xtask cluster preflight` with its kubeconfig and context says more", problems.join("; "))]
    NotServing {
        /// Its URL.
        server: String,
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// A verb that makes or repairs clusters met one that is not ours.
    #[error(
        "`{name}` is a cluster of others ({server}): it is used with `cargo xtask run --provider existing`, and neither made \
         nor repaired here"
    )]
    NotOurs {
        /// Its name.
        name: String,
        /// Its URL.
        server: String,
    },
    /// A name that a cluster of another provider has.
    #[error(
        "`{name}` is a cluster of the {found} provider: give the other one another --name, or end this one first with \
         `cargo xtask cluster down --name {name}`"
    )]
    OfAnother {
        /// Its name.
        name: String,
        /// Its provider.
        found: String,
    },
    /// There is no kubeconfig.
    #[error("there is no kubeconfig at {}: name one with --kubeconfig FILE, or set KUBECONFIG", paths(_0))]
    NoKubeconfig(Vec<PathBuf>),
    /// A kubeconfig that cannot be used.
    #[error("{}{}: {message}", path.display(), line.map_or(String::new(), |line| format!(":{line}")))]
    BadKubeconfig {
        /// The file.
        path: PathBuf,
        /// Where in it, when that is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
    /// A kubeconfig without the context that was asked for.
    #[error("there is no context `{name}` in {}; there are {}", paths(files), known.join(", "))]
    NoSuchContext {
        /// The context.
        name: String,
        /// The files that were read.
        files: Vec<PathBuf>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A kubeconfig that names no current context.
    #[error(
        "{} has no current context: {}",
        paths(files),
        if known.is_empty() { "it has no contexts at all".to_owned() } else { format!("name one of {} with --context", known.join(", ")) }
    )]
    NoCurrentContext {
        /// The files that were read.
        files: Vec<PathBuf>,
        /// Those that there are.
        known: Vec<String>,
    },
    /// An existing cluster that cannot be reached or does not know the user.
    #[error("cannot use {server} (context `{context}`): {cause}; {fix}")]
    NoAccess {
        /// Its URL.
        server: String,
        /// The kubeconfig's context.
        context: String,
        /// Why not.
        cause: String,
        /// What to do.
        fix: String,
    },
    /// Something that should have happened on a cluster did not.
    #[error("{0}")]
    Failed(String),
    /// A signal came while a cluster was brought up: what became of it.
    #[error("interrupted: {0}")]
    Interrupted(String),
    /// Somebody holds a lease.
    #[error(
        "cluster `{name}` is in use by {holder}; wait for it, or end the cluster with `cargo xtask cluster down --force`"
    )]
    InUse {
        /// Its name.
        name: String,
        /// Who, since when.
        holder: String,
    },
    /// A fault would break what somebody measures.
    #[error("cluster `{name}` is in use by {holder}; wait for it, or break it all the same with --force")]
    Spoils {
        /// Its name.
        name: String,
        /// Who, since when.
        holder: String,
    },
    /// An external program failed.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status, or why it could not start.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// A program that the fixture needs cannot be had.
    #[error(transparent)]
    Program(#[from] thirdparty::Error),
    /// The API server refused or did not answer.
    #[error("{what}: {}", crate::api::answer(source))]
    Api {
        /// What was asked of it.
        what: String,
        /// What it answered.
        source: Box<kube::Error>,
    },
}

impl Error {
    /// Whether the same may succeed the next time: ports are chosen anew, but a program that exits by itself does so again.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Self::Exited { port_taken: false, .. } | Self::Interrupted(_))
    }

    /// What happened, without advice: for whoever does already what would be advised.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::PortTaken { port, component, .. } => {
                format!("port {port} of {component} is in use by another program")
            }
            other => other.to_string(),
        }
    }

    /// Wraps an IO error with what was tried on which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    /// Wraps an API error with what was asked.
    pub fn api(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { what, source: Box::new(source) }
    }
}

fn half_made(name: &str, provider: &str, by: Option<Process>, processes: usize) -> String {
    match by {
        Some(by) => format!("being made by {by}: wait for it"),
        None => format!(
            "half-made: {processes} processes of it run, and its command is dead; `{}` makes it anew, `cargo xtask cluster gc` removes it",
            up_command(provider, name)
        ),
    }
}

/// The command that makes or repairs a cluster.
pub(crate) fn up_command(provider: &str, name: &str) -> String {
    let provider = if provider == "kwok" { String::new() } else { format!(" --provider {provider}") };
    format!("cargo xtask cluster up{provider} --name {name}")
}

fn paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
