//! The kwok provider: a real etcd, apiserver, controller manager and scheduler as processes, with simulated nodes.
//!
//! kwokctl's binary runtime does the provisioning. We write its configuration, take the identity of what it started,
//! and end by ourselves what it loses sight of.

mod start;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use thirdparty::Program;

use crate::descriptor::{Component, Descriptor, ProgramUsed};
use crate::error::{Error, Result};
use crate::ports::{becomes_free, free_ports};
use crate::process::{self, Process, State};
use crate::provider::{Provider, key};
use crate::settings::{Settings, SettingsUsed};
use crate::shell::Shell;

use start::Start;

/// The programs that a kwok cluster needs, by their names in `thirdparty`.
pub const PROGRAMS: [&str; 9] = [
    "etcd",
    "etcdctl",
    "etcdutl",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
    "kwok",
    "kwokctl",
];

/// kwokctl's names of the ports that a cluster has.
const PORTS: [&str; 6] = [
    "etcdPort",
    "etcdPeerPort",
    "kubeApiserverPort",
    "kubeControllerManagerPort",
    "kubeSchedulerPort",
    "kwokControllerPort",
];

const COMPONENTS: [&str; 5] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"];

/// How long kwokctl waits for the cluster: its own start is about 4 s on two idle cores.
const READY_WITHIN: &str = "120s";
/// The variable that tells kwokctl where its clusters are.
const WORKDIR: &str = "KWOK_WORKDIR";

/// The kwok provider with its programs and settings.
#[derive(Debug)]
pub struct Kwok {
    programs: BTreeMap<String, Program>,
    settings: Settings,
}

/// The part of kwokctl's own `kwok.yaml` that says where components serve their metrics.
#[derive(Deserialize)]
struct KwokctlFile {
    #[serde(default)]
    components: Vec<KwokctlComponent>,
}

#[derive(Deserialize)]
struct KwokctlComponent {
    name: String,
    metric: Option<KwokctlMetric>,
}

#[derive(Deserialize)]
struct KwokctlMetric {
    scheme: String,
    host: String,
    path: String,
}

impl Kwok {
    /// A provider of clusters that run `programs`, all of [`PROGRAMS`], with `settings`.
    pub fn new(programs: BTreeMap<String, Program>, settings: Settings) -> Self {
        Self { programs, settings }
    }

    /// A provider for verbs that make no cluster: what those need is in the descriptor.
    pub fn without_programs() -> Self {
        Self::new(BTreeMap::new(), Settings::default())
    }

    /// The same with another range of Service addresses, as the apiserver's `--service-cluster-ip-range` has it.
    #[must_use]
    pub fn with_service_range(mut self, range: String) -> Self {
        self.settings.service_cluster_ip_range = range;
        self
    }

    /// kwokctl's configuration for these programs and settings, without the ports, which differ from one cluster to the
    /// next. JSON, which is YAML.
    pub fn config(&self) -> serde_json::Value {
        let path = |name: &str| self.path(name).display().to_string();
        let patches: Vec<_> = COMPONENTS
            .iter()
            .map(|component| {
                let args = self.settings.args(component);
                let args: Vec<_> = args
                    .iter()
                    .map(|(key, value)| json!({"key": key, "value": value, "override": Settings::REPLACED.contains(key)}))
                    .collect();
                json!({"name": component, "extraArgs": args})
            })
            .collect();
        json!({
            "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
            "kind": "KwokctlConfiguration",
            "metadata": {"name": "kwokctl"},
            "options": {
                "runtime": "binary",
                // Every server listens on loopback; kwokctl's own default is all addresses.
                "bindAddress": "127.0.0.1",
                "kubeVersion": self.pinned("kube-apiserver"),
                "etcdVersion": self.pinned("etcd"),
                "etcdBinary": path("etcd"),
                "etcdctlBinary": path("etcdctl"),
                "etcdutlBinary": path("etcdutl"),
                "kubeApiserverBinary": path("kube-apiserver"),
                "kubeControllerManagerBinary": path("kube-controller-manager"),
                "kubeSchedulerBinary": path("kube-scheduler"),
                "kubectlBinary": path("kubectl"),
                "kwokControllerBinary": path("kwok"),
            },
            "componentsPatches": patches,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.programs.get(name).map_or_else(|| PathBuf::from(name), |program| program.path.clone())
    }

    /// By which kwokctl decides what flags a component knows.
    fn pinned(&self, name: &str) -> String {
        self.programs.get(name).map_or_else(String::new, |program| program.pinned_version.clone())
    }

    /// The pin's version, unless the program says that it is of another.
    fn version(&self, name: &str) -> String {
        let other = self.programs.get(name).filter(|program| program.deviates);
        other.map_or_else(|| self.pinned(name), |program| program.version.clone())
    }

    /// Where programs come from that the user named, by their names.
    fn own(&self) -> BTreeMap<String, String> {
        let own = self.programs.values().filter(|program| program.source == thirdparty::Source::Explicit);
        own.map(|program| (program.name.clone(), origin(&program.name, &program.path))).collect()
    }

    fn describe(&self, name: &str, directory: &Path) -> Result<Descriptor> {
        let components = components(&cluster_dir(name, directory), &self.settings)?;
        let apiserver = components.iter().find(|component| component.name == "kube-apiserver");
        let apiserver = apiserver.and_then(|component| component.metrics_url.as_deref()).unwrap_or_default();
        let versions = [("kubernetes", "kube-apiserver"), ("etcd", "etcd"), ("kwok", "kwok")];
        let programs = self.programs.values().map(ProgramUsed::from);
        Ok(Descriptor {
            kubeconfig: kubeconfig(directory),
            apiserver: apiserver.trim_end_matches("/metrics").to_owned(),
            capabilities: ["simulated-nodes", "component-processes", "etcd-metrics"].map(str::to_owned).into(),
            versions: versions.iter().map(|(system, program)| ((*system).to_owned(), self.version(program))).collect(),
            settings: Some(SettingsUsed::Kwok(self.settings.clone())),
            programs: programs.collect(),
            components,
            ..Descriptor::new(name, self.name(), self.key())
        })
    }
}

impl Provider for Kwok {
    fn name(&self) -> &'static str {
        "kwok"
    }

    fn key(&self) -> String {
        key(&[&self.config().to_string()], &self.programs)
    }

    fn create(&self, name: &str, directory: &Path, shell: &Shell, say: &dyn Fn(&str)) -> Result<Option<Descriptor>> {
        let config = directory.join("kwokctl.yaml");
        let text = serde_json::to_vec_pretty(&with_ports(self.config())?).unwrap_or_default();
        shell.make_dir(directory)?;
        shell.write(&config, &text)?;
        let (config, kubeconfig) = (config.display().to_string(), kubeconfig(directory).display().to_string());
        let args = [
            "create",
            "cluster",
            "--name",
            name,
            "--config",
            &config,
            "--kubeconfig",
            &kubeconfig,
            "--wait",
            READY_WITHIN,
        ];
        let cluster = cluster_dir(name, directory);
        let programs = [self.path("kwokctl"), self.path("kubectl")];
        kwokctl(&programs, &args, directory, shell, Start::new(&cluster, self.own(), say))?;
        // kwokctl leaves its keys readable by all; the directory above is closed, which is not the same.
        shell.make_private(&cluster.join("pki"))?;
        if shell.is_dry() { Ok(None) } else { self.describe(name, directory).map(Some) }
    }

    fn restart(
        &self,
        descriptor: &Descriptor,
        directory: &Path,
        shell: &Shell,
        say: &dyn Fn(&str),
    ) -> Result<Descriptor> {
        let cluster = cluster_dir(&descriptor.name, directory);
        // A paused process holds its port and answers nobody: it has to go before kwokctl can start another. When all
        // run and still nobody answers, nobody knows which one hangs, and all have to go.
        let runs = |component: &&Component| component.process.state() == State::Running;
        let all_run = descriptor.components.iter().all(|component| runs(&component));
        for component in descriptor.components.iter().filter(|component| all_run || !runs(component)) {
            if shell.doing(format!("kill {} ({})", component.name, component.process)) {
                component.process.kill(Duration::from_secs(5));
            }
            // kwokctl believes this file as long as anything has the pid: a zombie, or a later process.
            shell.remove_file(&pid_file(&cluster, &component.name))?;
            // kwokctl would start it again and again for minutes.
            if let Some(port) = component.port().filter(|port| !shell.is_dry() && !becomes_free(*port)) {
                let (component, cluster) = (component.name.clone(), descriptor.name.clone());
                return Err(Error::PortTaken { port, component, cluster });
            }
        }
        let path = |name: &str| {
            let program = descriptor.programs.iter().find(|program| program.name == name);
            let program = program.ok_or_else(|| Error::Failed(format!("{} names no {name}", descriptor.name)))?;
            Ok::<_, Error>(program.path.clone())
        };
        let programs = [path("kwokctl")?, path("kubectl")?];
        let args = ["start", "cluster", "--name", &descriptor.name, "--wait", READY_WITHIN];
        let own = descriptor.programs.iter().filter(|used| used.source == thirdparty::Source::Explicit.to_string());
        let own = own.map(|used| (used.name.clone(), origin(&used.name, &used.path))).collect();
        kwokctl(&programs, &args, directory, shell, Start::new(&cluster, own, say))?;
        if shell.is_dry() {
            return Ok(descriptor.clone());
        }
        let settings = match &descriptor.settings {
            Some(SettingsUsed::Kwok(settings)) => settings,
            _ => &self.settings,
        };
        let components = components(&cluster, settings)?;
        Ok(Descriptor { components, ..descriptor.clone() })
    }
}

/// Ends every process of a cluster and removes its files; returns how many processes there were.
pub(crate) fn remove(name: &str, directory: &Path, shell: &Shell) -> Result<usize> {
    if !shell.doing(format!("kill every process that runs a program below {}", directory.display())) {
        return shell.remove_dir(directory).map(|()| 0);
    }
    let mut ended = 0;
    // A kwokctl that outlived its parent first: it would start what is ended here.
    for process in starting(directory) {
        process.kill(Duration::from_secs(5));
        ended += 1;
    }
    // Twice: what was being started during the first look is there at the second.
    for _ in 0..2 {
        for process in processes(name, directory) {
            if !process.kill(Duration::from_secs(5)) {
                return Err(Error::Failed(format!("{process} of cluster `{name}` does not end")));
            }
            ended += 1;
        }
        shell.remove_dir(directory)?;
    }
    Ok(ended)
}

/// What runs of a cluster, whether or not a descriptor knows it.
pub(crate) fn processes(name: &str, directory: &Path) -> Vec<Process> {
    let running = process::using(&cluster_dir(name, directory)).into_iter();
    running.filter(|process| process.state() != State::Dead).collect()
}

/// What has the variable that tells kwokctl where the cluster is.
fn starting(directory: &Path) -> Vec<Process> {
    process::with_environment(&format!("{WORKDIR}={}", workdir(directory).display()))
}

/// What a dead command was starting in a cluster when it died, its kwokctl first. The caller holds the cluster's lock, so that no
/// living command has any.
pub(crate) fn strays(descriptor: &Descriptor, directory: &Path) -> impl Iterator<Item = Process> {
    let kwokctl = descriptor.programs.iter().find(|program| program.name == "kwokctl");
    let kwokctl = kwokctl.map(|program| program.path.display().to_string());
    // A shell of the user's own may have the variable too.
    let starting =
        starting(directory).into_iter().filter(move |process| process.command_line().first() == kwokctl.as_ref());
    // Looked for when those have ended: they start more.
    let running = std::iter::once_with(|| processes(&descriptor.name, directory)).flatten();
    let known = |process: &Process| descriptor.components.iter().any(|component| component.process == *process);
    starting.chain(running.filter(move |process| !known(process)))
}

/// Ends them; returns how many there were.
pub(crate) fn end_strays(descriptor: &Descriptor, directory: &Path) -> usize {
    strays(descriptor, directory).filter(|process| process.kill(Duration::from_secs(5))).count()
}

/// Delays a stage of the simulated objects; the kwok controller reads it when it is started again.
///
/// # Errors
/// When kwokctl's file cannot be read or written, or has no such stage without a delay of its own.
pub(crate) fn delay_stage(
    descriptor: &Descriptor,
    directory: &Path,
    stage: &str,
    by: Duration,
    shell: &Shell,
) -> Result<()> {
    let path = cluster_dir(&descriptor.name, directory).join("kwok.yaml");
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let head = format!("kind: Stage\nmetadata:\n  name: {stage}\nspec:\n");
    let delay = format!("{head}  delay:\n    durationMilliseconds: {}\n", by.as_millis());
    if text.matches(&head).count() != 1 || text.contains(&format!("{head}  delay:")) {
        return Err(Error::Failed(format!("{}: no stage `{stage}` without a delay", path.display())));
    }
    shell.write(&path, text.replacen(&head, &delay, 1).as_bytes())
}

fn with_ports(mut config: serde_json::Value) -> Result<serde_json::Value> {
    for (name, port) in PORTS.iter().zip(free_ports(PORTS.len() as u16)?) {
        config["options"][*name] = json!(port);
    }
    Ok(config)
}

/// Runs the first of the two programs with the second as the `kubectl` that it finds: it looks in PATH before it looks at its
/// configuration's `kubectlBinary`.
fn kwokctl(
    [program, kubectl]: &[PathBuf; 2],
    args: &[&str],
    directory: &Path,
    shell: &Shell,
    mut start: Start<'_>,
) -> Result<()> {
    let (workdir, bin) = (workdir(directory).display().to_string(), directory.join("bin"));
    shell.make_dir(&bin)?;
    // A build that a variable names may have any name.
    shell.link(kubectl, &bin.join("kubectl"))?;
    let ended = shell.run_while(program, args, &[(WORKDIR, &workdir)], Some(&bin), || start.look());
    // It may say that all is well although a component has exited, or only that it waited for too long.
    if !shell.is_dry() && !matches!(ended, Err(Error::Exited { .. } | Error::Interrupted(_))) {
        start.ended()?;
    }
    ended
}

/// The program of a component.
fn program_of(component: &str) -> &str {
    if component == "kwok-controller" { "kwok" } else { component }
}

/// A program that the user named, and the variable that names it.
fn origin(name: &str, path: &Path) -> String {
    let pin = thirdparty::pins().iter().find(|pin| pin.name == name);
    let variable = pin.map_or_else(String::new, |pin| format!(" ({}, or an arm of a gate)", pin.variable()));
    format!("{}{variable}", path.display())
}

/// What kwokctl has started, as it runs.
fn components(cluster: &Path, settings: &Settings) -> Result<Vec<Component>> {
    let metrics = metrics_urls(&cluster.join("kwok.yaml"))?;
    let component = |name: &&str| {
        let process = read_pid(cluster, name)?;
        let args: Vec<String> = process.command_line().into_iter().skip(1).collect();
        check_args(name, &args, settings)?;
        Ok(Component {
            name: (*name).to_owned(),
            process,
            metrics_url: metrics.get(*name).cloned(),
            log: cluster.join(format!("logs/{name}.log")),
            args,
        })
    };
    COMPONENTS.iter().map(component).collect()
}

/// A setting that is recorded but was not given to its component would be a lie in every result.
fn check_args(component: &str, args: &[String], settings: &Settings) -> Result<()> {
    let wanted = settings.args(component);
    let flags = wanted.iter().map(|(key, value)| format!("--{key}={value}"));
    let absent: Vec<String> = flags.filter(|flag| !args.contains(flag)).collect();
    if absent.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!("{component} runs without {}: kwokctl did not pass it on", absent.join(" "))))
}

fn workdir(directory: &Path) -> PathBuf {
    directory.join("kwok")
}

fn cluster_dir(name: &str, directory: &Path) -> PathBuf {
    workdir(directory).join("clusters").join(name)
}

fn kubeconfig(directory: &Path) -> PathBuf {
    directory.join("kubeconfig")
}

fn pid_file(cluster: &Path, component: &str) -> PathBuf {
    cluster.join(format!("pids/{component}.pid"))
}

fn read_pid(cluster: &Path, component: &str) -> Result<Process> {
    let path = pid_file(cluster, component);
    let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let process = text.trim().parse().ok().and_then(Process::of_pid);
    process
        .ok_or_else(|| Error::Failed(format!("{component} does not run: no process has the pid in {}", path.display())))
}

fn metrics_urls(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    // The first document of the file is the cluster; the others are the stages of simulated objects.
    let first = text.split("\n---\n").find(|document| document.contains("\ncomponents:")).unwrap_or(&text);
    let file: KwokctlFile = serde_saphyr::from_str(first).map_err(|error| Error::BadDescriptor {
        path: path.to_owned(),
        line: error.location().map_or(1, |location| location.line() as usize),
        message: error.to_string(),
    })?;
    let urls = file.components.into_iter().filter_map(|component| {
        let KwokctlMetric { scheme, host, path } = component.metric?;
        Some((component.name, format!("{scheme}://{host}{path}")))
    });
    Ok(urls.collect())
}
