//! What the kind provider needs of this machine.

use std::fs;
use std::process::Command;

use super::{Finding, first_line};

/// `CAP_SYS_RESOURCE` in the masks of `/proc/PID/status` (capabilities(7)).
const CAP_SYS_RESOURCE: u64 = 1 << 24;
/// Each node has some forty watchers of files: five nodes fit into the kernel's default of 128 instances, ten do not.
const NODES_WITHIN_DEFAULT: u32 = 5;
const INOTIFY_INSTANCES: u64 = 512;

/// What was looked at, for a kind cluster of so many workers.
pub(super) fn examine(workers: u32) -> Vec<Finding> {
    let docker = docker(&["version", "--format", "{{.Server.Version}}"]);
    let runtime = docker.is_ok().then(|| self::docker(&["info", "--format", "{{.DefaultRuntime}}"]).ok()).flatten();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let inotify = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let fix = docker.as_ref().err().map_or("", |why| docker_fix(why)).to_owned();
    vec![
        Finding { what: "Docker".to_owned(), found: docker.map(|version| format!("the server is {version}")), fix },
        Finding {
            what: "OCI runtime".to_owned(),
            found: privileged(&status, runtime.as_deref()),
            fix: "make a wrapper that takes the capability off Docker's default runtime: copy `.ci/oci-runtime` to \
                  /usr/local/bin, put {\"runtimes\": {\"oci-runtime\": {\"path\": \"/usr/local/bin/oci-runtime\"}}, \
                  \"default-runtime\": \"oci-runtime\"} into /etc/docker/daemon.json, and start Docker again"
                .to_owned(),
        },
        Finding {
            what: "inotify".to_owned(),
            found: instances(&inotify, workers + 1),
            fix: "`sudo sysctl fs.inotify.max_user_instances=1024`; kind says success all the same, and nodes do not join"
                .to_owned(),
        },
    ]
}

/// What was looked at, for the building of a node image.
pub(super) fn examine_building() -> Vec<Finding> {
    let root = match rustix::process::geteuid().is_root() {
        true => Ok("running as root".to_owned()),
        false => Err("debootstrap makes a root with its owners and devices".to_owned()),
    };
    let first = |program: &str, args: &[&str], fix: &str| (first_line(program, args), fix.to_owned());
    let (debootstrap, install_debootstrap) = first(
        "debootstrap",
        &["--version"],
        "install it, for example `apt-get install debootstrap`; it needs a mirror of Debian's packages",
    );
    let (cc, install_cc) =
        first("cc", &["--version"], "install gcc or clang, for example `apt-get install gcc libc6-dev`");
    let (go, install_go) = first("go", &["version"], "install Go 1.26 or newer (https://go.dev/dl)");
    vec![
        Finding { what: "debootstrap".to_owned(), found: debootstrap, fix: install_debootstrap },
        Finding {
            what: "root".to_owned(),
            found: root,
            fix: "run `sudo --preserve-env cargo xtask node-image` once".to_owned(),
        },
        Finding { what: "C compiler".to_owned(), found: cc, fix: install_cc },
        Finding { what: "Go".to_owned(), found: go, fix: install_go },
    ]
}

/// What Docker says, or the first line of why it does not.
fn docker(args: &[&str]) -> Result<String, String> {
    let output = Command::new("docker").args(args).output().map_err(|_| "`docker` is not on PATH".to_owned())?;
    let line = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().lines().next().unwrap_or_default().to_owned();
    match line(&output.stdout) {
        text if output.status.success() && !text.is_empty() => Ok(text),
        _ => Err(line(&output.stderr)),
    }
}

fn docker_fix(why: &str) -> &'static str {
    match why.to_lowercase() {
        why if why.contains("not on path") => "install Docker (https://docs.docker.com/engine/install)",
        why if why.contains("permission denied") => "`sudo usermod -aG docker $USER`, and log in again",
        _ => "start it: `sudo systemctl start docker`, or `sudo dockerd` where there is no systemd",
    }
}

/// kind's nodes are privileged containers, which runc gives every capability that it knows. Where the machine lacks
/// one (a nested container, a sandboxed machine), that fails.
fn privileged(status: &str, default_runtime: Option<&str>) -> Result<String, String> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let Some(mask) = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()) else {
        return Ok("the capabilities of this machine cannot be told".to_owned());
    };
    if mask & CAP_SYS_RESOURCE != 0 {
        return Ok("privileged containers have all capabilities here".to_owned());
    }
    match default_runtime {
        Some("runc") => {
            Err("this machine lacks CAP_SYS_RESOURCE, and runc wants it for privileged containers".to_owned())
        }
        Some(wrapper) => Ok(format!("this machine lacks CAP_SYS_RESOURCE; Docker's default runtime is `{wrapper}`")),
        None => Err("this machine lacks CAP_SYS_RESOURCE, which Docker's own runtime wants".to_owned()),
    }
}

fn instances(text: &str, nodes: u32) -> Result<String, String> {
    match text.trim().parse::<u64>() {
        Ok(found) if found < INOTIFY_INSTANCES && nodes > NODES_WITHIN_DEFAULT => {
            Err(format!("{found} instances a user, too few for ten nodes"))
        }
        Ok(found) => Ok(format!("{found} instances a user")),
        Err(_) => Ok("the limit cannot be told".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const ALL: &str = "Name:\txtask\nCapBnd:\t000001ffffffffff\n";
    const LESS: &str = "Name:\txtask\nCapBnd:\t000001fffeffffff\n";

    #[rstest]
    #[case::all(ALL, Some("runc"), true)]
    #[case::no_docker_yet(ALL, None, true)]
    #[case::runc(LESS, Some("runc"), false)]
    #[case::wrapped(LESS, Some("oci-runtime"), true)]
    #[case::less_and_no_docker_yet(LESS, None, false)]
    #[case::unknown("", Some("runc"), true)]
    fn a_machine_without_the_capability_needs_a_wrapper(
        #[case] status: &str,
        #[case] runtime: Option<&str>,
        #[case] good: bool,
    ) {
        assert_eq!(privileged(status, runtime).is_ok(), good);
    }

    #[rstest]
    #[case("128\n", 10, false)]
    #[case("128\n", 5, true)]
    #[case("512\n", 10, true)]
    #[case("", 10, true)]
    fn ten_nodes_need_more_instances_than_the_kernel_gives(#[case] text: &str, #[case] nodes: u32, #[case] good: bool) {
        assert_eq!(instances(text, nodes).is_ok(), good);
    }

    #[rstest]
    #[case("`docker` is not on PATH", "install")]
    #[case("Got permission denied while trying to connect", "usermod")]
    #[case("Cannot connect to the Docker daemon", "start it")]
    fn each_lack_of_docker_has_its_own_fix(#[case] why: &str, #[case] fix: &str) {
        assert!(docker_fix(why).contains(fix));
    }
}
