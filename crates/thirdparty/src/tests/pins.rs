//! The real pins.

use std::path::Path;

use fs_err as fs;
use rstest::rstest;

use crate::pins::{parse, pins};
use crate::platform::Platform;

fn go_mod(group: &str) -> String {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/go");
    fs::read_to_string(modules.join(group).join("go.mod")).unwrap()
}

#[test]
fn pins_parse() {
    let listed: Vec<_> =
        pins().iter().map(|pin| format!("{pin}: {} => {}", pin.variable(), pin.expect.replace('\t', " "))).collect();
    insta::assert_snapshot!(listed.join("\n"), @r#"
    etcd v3.7.3: KUBEDYNO_ETCD => etcd Version: 3.7.3
    etcdctl v3.7.3: KUBEDYNO_ETCDCTL => etcdctl version: 3.7.3
    etcdutl v3.7.3: KUBEDYNO_ETCDUTL => etcdutl version: 3.7.3
    kube-apiserver v1.36.3: KUBEDYNO_KUBE_APISERVER => Kubernetes v1.36.3
    kube-controller-manager v1.36.3: KUBEDYNO_KUBE_CONTROLLER_MANAGER => Kubernetes v1.36.3
    kube-scheduler v1.36.3: KUBEDYNO_KUBE_SCHEDULER => Kubernetes v1.36.3
    kubectl v1.36.3: KUBEDYNO_KUBECTL => Client Version: v1.36.3
    kwok v0.8.0: KUBEDYNO_KWOK => kwok version v0.8.0
    kwokctl v0.8.0: KUBEDYNO_KWOKCTL => kwokctl version v0.8.0
    host-local v1.9.1: KUBEDYNO_HOST_LOCAL => CNI host-local plugin v1.9.1
    whereabouts v0.9.4: KUBEDYNO_WHEREABOUTS => whereabouts v0.9.4-unknown
    whereabouts-node-slice-controller v0.9.4: KUBEDYNO_WHEREABOUTS_NODE_SLICE_CONTROLLER => github.com/k8snetworkplumbingwg/whereabouts v0.9.4
    spiderpool v1.2.2: KUBEDYNO_SPIDERPOOL => Spiderpool IPAM v1.2.2
    spiderpool-agent v1.2.2: KUBEDYNO_SPIDERPOOL_AGENT => github.com/spidernet-io/spiderpool v1.2.2
    spiderpool-controller v1.2.2: KUBEDYNO_SPIDERPOOL_CONTROLLER => github.com/spidernet-io/spiderpool v1.2.2
    kamaji v1.0.0: KUBEDYNO_KAMAJI => github.com/clastix/kamaji v1.0.0
    kubeadm v1.30.2: KUBEDYNO_KUBEADM => k8s.io/kubernetes v1.30.2
    registry v3.1.2: KUBEDYNO_REGISTRY => github.com/distribution/distribution/v3 v3.1.2
    kind v0.33.0: KUBEDYNO_KIND => kind v0.33.0
    kubelet v1.36.3: KUBEDYNO_KUBELET => Kubernetes v1.36.3
    kube-proxy v1.36.3: KUBEDYNO_KUBE_PROXY => Kubernetes v1.36.3
    node-kubeadm v1.36.3: KUBEDYNO_NODE_KUBEADM => v1.36.3
    containerd v2.3.7: KUBEDYNO_CONTAINERD => v2.3.7
    containerd-shim-runc-v2 v2.3.7: KUBEDYNO_CONTAINERD_SHIM_RUNC_V2 => v2.3.7
    ctr v2.3.7: KUBEDYNO_CTR => v2.3.7
    azure-kperf v0.3.5: KUBEDYNO_AZURE_KPERF => github.com/Azure/kperf v0.3.5
    cargo-nextest 0.9.151: KUBEDYNO_CARGO_NEXTEST => cargo-nextest 0.9.151
    cargo-deny 0.20.2: KUBEDYNO_CARGO_DENY => cargo-deny 0.20.2
    "#);
}

#[test]
fn releases_are_where_the_projects_publish_them() {
    let platform = Platform::host().to_string();
    let mut urls = Vec::new();
    for release in pins().iter().filter_map(|pin| pin.release.as_ref()) {
        assert!(release.platforms.iter().all(|p| ["linux-amd64", "linux-arm64"].contains(&p.as_str())));
        assert!(release.sha256.values().all(|hex| hex.len() == 64));
        for template in [Some(&release.url), release.checksums.as_ref(), release.member.as_ref()].into_iter().flatten()
        {
            let url = Platform::host().fill(template);
            assert!(!url.contains(['{', '}']), "{url}");
            let hide = |url: String, by: &str| url.replace(&platform.replace('-', by), &format!("OS{by}ARCH"));
            urls.push(["-", "/", "_"].into_iter().fold(url, hide));
        }
    }
    urls.dedup();
    insta::assert_snapshot!(urls.join("\n"), @r#"
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/etcd-v3.7.3-OS-ARCH.tar.gz
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS
    etcd-v3.7.3-OS-ARCH/etcd
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/etcd-v3.7.3-OS-ARCH.tar.gz
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS
    etcd-v3.7.3-OS-ARCH/etcdctl
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/etcd-v3.7.3-OS-ARCH.tar.gz
    https://github.com/etcd-io/etcd/releases/download/v3.7.3/SHA256SUMS
    etcd-v3.7.3-OS-ARCH/etcdutl
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-apiserver
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-apiserver.sha256
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-controller-manager
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-controller-manager.sha256
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-scheduler
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-scheduler.sha256
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubectl
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubectl.sha256
    https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/kwok-OS-ARCH
    https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/kwokctl-OS-ARCH
    https://github.com/distribution/distribution/releases/download/v3.1.2/registry_3.1.2_OS_ARCH.tar.gz
    https://github.com/distribution/distribution/releases/download/v3.1.2/registry_3.1.2_OS_ARCH.tar.gz.sha256
    registry
    https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-OS-ARCH
    https://github.com/kubernetes-sigs/kind/releases/download/v0.33.0/kind-OS-ARCH.sha256sum
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubelet
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubelet.sha256
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-proxy
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kube-proxy.sha256
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubeadm
    https://dl.k8s.io/v1.36.3/bin/OS/ARCH/kubeadm.sha256
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz.sha256sum
    bin/containerd
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz.sha256sum
    bin/containerd-shim-runc-v2
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz
    https://github.com/containerd/containerd/releases/download/v2.3.7/containerd-2.3.7-OS-ARCH.tar.gz.sha256sum
    bin/ctr
    "#);
}

#[test]
fn every_go_package_is_a_tool_of_its_module_at_the_pinned_version() {
    for pin in pins() {
        let Some(go) = &pin.go else { continue };
        let text = go_mod(&go.group);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        // A module with one tool has it on the line of the directive.
        let tools: Vec<_> = lines.iter().map(|line| line.trim_start_matches("tool ")).collect();
        assert!(tools.contains(&go.package.as_str()), "{} is no tool of {}", go.package, go.group);
        let required = lines.iter().filter_map(|line| line.split_once(' ')).find(|(module, _)| {
            let rest = go.package.strip_prefix(module);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let (_, version) = required.unwrap_or_else(|| panic!("{} requires no module of {}", go.group, go.package));
        assert_eq!(version.split(' ').next(), Some(pin.version.as_str()), "{}", pin.name);
        // What is stamped into a program is a pinned version, too.
        for stamp in go.ldflags.split(' ').filter_map(|flag| flag.split_once('=')) {
            assert!(pins().iter().any(|pin| pin.version == stamp.1), "{stamp:?}");
        }
    }
}

#[rstest]
#[case::unknown_key("projects.a = {version = 'v1', colour = 'red'}\ngroups = {}\ntools = []", "does not parse")]
#[case::unknown_project(
    "projects = {}\ngroups = {}\ntools = [{name = 'a', project = 'b', ask = [], expect = ''}]",
    "a in pins.toml is of an unknown project `b`"
)]
#[case::unknown_group(
    "projects.p = {version = 'v1'}\ngroups = {}\n[[tools]]\nname = 'a'\nproject = 'p'\nask = []\nexpect = ''\ngo = {group = 'g', package = 'p'}",
    "a in pins.toml is of an unknown group `g`"
)]
fn a_mistake_in_pins_is_told(#[case] text: &str, #[case] why: &str) {
    let error = parse(text).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}
