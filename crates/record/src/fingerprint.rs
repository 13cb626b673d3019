//! What machine a run was made on: read from the machine, never typed by hand.

use procfs::{Current as _, FromRead as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Hexadecimal digits that are kept of a hash: enough that no two machines that anybody compares have the same.
const DIGITS: usize = 16;

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprint {
    /// Model of its CPU.
    pub cpu_model: String,
    /// CPUs that may be used.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// Name of the distribution.
    pub os: String,
    /// CPU architecture.
    pub architecture: String,
    /// Which machine of this kind it is, since its last start: a hash of the machine's id and of the boot's, which are in no
    /// record themselves. Empty where neither can be read.
    #[serde(default)]
    pub host: String,
}

impl Fingerprint {
    /// Reads this machine. What cannot be read stays empty.
    pub fn read() -> Self {
        let cpuinfo = procfs::CpuInfo::current().ok();
        let model = cpuinfo.as_ref().and_then(|info| info.model_name(0)).unwrap_or_default();
        let os_release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let pretty = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            cpu_model: model.to_owned(),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: procfs::Meminfo::from_file("/proc/meminfo").map_or(0, |info| info.mem_total),
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
            os: pretty.unwrap_or_default().trim_matches('"').to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            host: host(&id("/etc/machine-id"), &id("/proc/sys/kernel/random/boot_id")),
        }
    }

    /// Whether it is of a machine of the same kind, though it may have been started again since, or be another one.
    pub fn is_like(&self, other: &Self) -> bool {
        *self == Self { host: self.host.clone(), ..other.clone() }
    }
}

fn id(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// What stands for the two ids in a record: nobody can get them back out of it.
fn host(machine_id: &str, boot_id: &str) -> String {
    if machine_id.is_empty() && boot_id.is_empty() {
        return String::new();
    }
    let hash = Sha256::digest(format!("kubedyno host\n{machine_id}\n{boot_id}\n"));
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cpus_memory_and_a_kernel() {
        let machine = Fingerprint::read();
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20 && !machine.kernel.is_empty());
        assert_eq!(machine, Fingerprint::read());
    }

    #[test]
    fn a_host_is_known_by_its_ids_and_does_not_give_them_away() {
        let (machine_id, boot_id) = ("0f3c9a", "7b-11");
        let known = host(machine_id, boot_id);
        assert!(known.len() == DIGITS && !known.contains(machine_id) && !known.contains(boot_id), "{known}");
        assert_eq!(known, host(machine_id, boot_id));
        assert_ne!(known, host(machine_id, "7b-12"), "started again");
        assert_ne!(known, host("0f3c9b", boot_id), "another machine");
        assert_eq!(host("", ""), "");
    }

    #[test]
    fn a_machine_that_was_started_again_is_of_the_same_kind() {
        let of = |host: &str, cpus| Fingerprint { host: host.to_owned(), cpus, ..Fingerprint::default() };
        assert!(of("a", 2).is_like(&of("b", 2)) && !of("a", 2).is_like(&of("a", 4)));
    }
}
