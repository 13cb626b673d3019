//! The verbs on clusters, and how a cluster of others is named.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    pub(crate) verb: ClusterVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClusterVerb {
    /// Adopt a healthy cluster, repair a broken one, or make one.
    #[command(after_help = "Examples:\n  cargo xtask cluster up\n  cargo xtask cluster up --name big --nodes 1000\n  \
        cargo xtask cluster up --provider kind --nodes 4\n  \
        export KUBECONFIG=$(cargo xtask cluster up --json | jq -r .kubeconfig)")]
    Up {
        /// The cluster's name; `default` of kwok's, `kind` of kind's.
        #[arg(long)]
        name: Option<String>,
        /// Where the cluster comes from.
        #[arg(long, value_enum, default_value_t = ProviderName::Kwok)]
        provider: ProviderName,
        /// kwok: simulated nodes that it should have, none by default; those that are there already stay. kind: workers, 2 by
        /// default, of a shape in kind-configs/.
        #[arg(long)]
        nodes: Option<u32>,
        /// CPUs of a node.
        #[arg(long, default_value_t = 32)]
        node_cpu: u32,
        /// Memory of a node in GiB.
        #[arg(long, default_value_t = 96)]
        node_memory_gib: u32,
        /// Pods that fit on a node.
        #[arg(long, default_value_t = 110)]
        node_max_pods: u32,
        /// Service addresses of a new cluster, instead of 10.96.0.0/16; a cluster keeps those that it has.
        #[arg(long, value_name = "CIDR", value_parser = cidr)]
        service_range: Option<String>,
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// Print the descriptor as JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a cluster and remove its files; a cluster of others is forgotten, and goes on.
    Down {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// Even while a test holds its lease, or though a newer version made it.
        #[arg(long)]
        force: bool,
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the clusters of this machine.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show a cluster's components, settings and users.
    Status {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say what somebody's cluster has, what its user may do there, and which rows can run. Creates nothing.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster preflight\n  cargo xtask cluster preflight --kubeconfig ~/lab.yaml --context lab --json\n\n\
        Exit code 13 when no row can run there."
    )]
    Preflight {
        #[command(flatten)]
        access: AccessArgs,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Remove what dead commands and tests left behind; clusters of others are forgotten, not ended.
    #[command(after_help = "\
It removes clusters that were half-made or of which nothing runs any more (after a reboot), what dead runs left running\n\
and in clusters, their temporary files, half-built programs, and locks of clusters that are gone. A cluster of which\n\
some component died is left: `cargo xtask cluster up` repairs it in seconds, `cargo xtask cluster down` ends it.")]
    Gc {
        /// Print the transcript and do nothing.
        #[arg(long)]
        dry_run: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Break a component, or the way to the apiserver: stop, pause, kill, restart, fill its disk, delay, cut.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster fault pause etcd --for 10s\n  cargo xtask cluster fault kill \
        kube-scheduler && cargo xtask cluster up\n  cargo xtask cluster fault network --delay 20ms"
    )]
    Fault {
        /// The cluster's name.
        #[arg(long, default_value = "default", global = true)]
        name: String,
        /// Even while a test holds its lease.
        #[arg(long, global = true)]
        force: bool,
        #[command(subcommand)]
        fault: FaultVerb,
    },
    /// Show the end of a cluster's logs.
    Logs {
        /// The cluster's name.
        #[arg(long, default_value = "default")]
        name: String,
        /// Only this component: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok-controller; of kind also
        /// a node (`worker`) and what it runs (`worker/kubelet`, `worker/containerd`).
        component: Option<String>,
        /// Lines of each.
        #[arg(long, default_value_t = 50)]
        tail: usize,
        /// As JSON: an object with the lines of each.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FaultVerb {
    /// Stop a component where it stands (SIGSTOP): it keeps its connections and answers nobody.
    Pause {
        /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler or kwok-controller.
        component: String,
        /// Let it go on after this long; without it, it stands still until `resume`.
        #[arg(long = "for", value_name = "DURATION")]
        how_long: Option<jiff::SignedDuration>,
    },
    /// Let a paused component go on.
    Resume {
        /// The component.
        component: String,
    },
    /// End a component in an orderly way (SIGTERM) and leave it so.
    Stop {
        /// The component.
        component: String,
    },
    /// End a component at once (SIGKILL) and leave it so; `cargo xtask cluster up` starts it again.
    Kill {
        /// The component.
        component: String,
    },
    /// Kill a component and start it again; what else has ended is started as well.
    Restart {
        /// The component.
        component: String,
    },
    /// Let no file of a component grow, as on a full disk, until `up` gives it room again. etcd may end by that; `restart`
    /// starts it with room again.
    FillDisk {
        /// The component.
        component: String,
        /// Give room again after this long; without it, the disk stays full.
        #[arg(long = "for", value_name = "DURATION")]
        how_long: Option<jiff::SignedDuration>,
    },
    /// Open a slow or broken way to the apiserver, and keep it until Ctrl-C. The cluster's other users notice nothing.
    Network {
        /// Every byte comes so much later, in either direction.
        #[arg(long, value_name = "DURATION", default_value = "0s")]
        delay: jiff::SignedDuration,
        /// Break every connection after this long, again and again.
        #[arg(long, value_name = "DURATION")]
        cut_every: Option<jiff::SignedDuration>,
        /// And let none through for so long.
        #[arg(long, value_name = "DURATION", default_value = "3s")]
        cut_for: jiff::SignedDuration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProviderName {
    /// Real etcd, apiserver, controller manager and scheduler as processes; simulated nodes.
    Kwok,
    /// Real kubelets and containerds, each node a container of Docker's.
    Kind,
}

/// Which cluster of others; the defaults are kubectl's.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AccessArgs {
    /// The kubeconfig; KUBECONFIG or ~/.kube/config when not given.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Its context; the current one when not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// Addresses in the form that the apiserver reads: it wants a network, and at most 20 bits of hosts.
pub(crate) fn cidr(text: &str) -> Result<String, String> {
    let form = || "not of the form 10.96.0.0/16".to_owned();
    let (address, bits) = text.split_once('/').ok_or_else(form)?;
    let address: std::net::Ipv4Addr = address.parse().map_err(|_| form())?;
    let digits = bits;
    let bits: u32 = digits.parse().map_err(|_| form())?;
    if bits.to_string() != digits {
        return Err(form());
    }
    if address.is_unspecified() || address.is_loopback() {
        return Err(format!("{address} is no network of Services"));
    }
    if !(12..=30).contains(&bits) {
        return Err("the apiserver takes networks from /12 to /30".to_owned());
    }
    match u32::from(address) & (u32::MAX >> bits) {
        0 => Ok(text.to_owned()),
        _ => Err(format!("{address} is no network of /{bits}: its last {} bits have to be 0", 32 - bits)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::usual("10.96.0.0/16", None)]
    #[case::narrow("10.97.0.0/28", None)]
    #[case::no_length("10.96.0.0", Some("form"))]
    #[case::no_address("10.96/16", Some("form"))]
    #[case::a_host("10.96.0.1/16", Some("last 16 bits"))]
    #[case::a_sign("10.96.0.0/+16", Some("form"))]
    #[case::nowhere("0.0.0.0/12", Some("no network"))]
    #[case::loopback("127.0.0.0/16", Some("no network"))]
    #[case::too_wide("10.0.0.0/8", Some("/12 to /30"))]
    fn a_range_of_services_is_a_network(#[case] text: &str, #[case] wrong: Option<&str>) {
        match (cidr(text), wrong) {
            (Ok(range), None) => assert_eq!(range, text),
            (Err(said), Some(wrong)) => assert!(said.contains(wrong), "{said}"),
            (result, _) => panic!("{result:?}"),
        }
    }
}
