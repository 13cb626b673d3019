//! What machine a run was made on: read from the machine, never typed by hand.

use procfs::{Current as _, FromRead as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_cpus_memory_and_a_kernel() {
        let machine = Fingerprint::read();
        assert!(machine.cpus > 0 && machine.memory_bytes > 1 << 20 && !machine.kernel.is_empty());
    }
}
