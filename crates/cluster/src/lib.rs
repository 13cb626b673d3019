//! Running clusters as fixtures: where they come from, whether they are healthy, who uses them, what is left behind.
//!
//! A fixture is a directory below the state directory: `fixtures/<name>/` holds the provider's files and the
//! descriptor `fixture.json` that tests adopt; locks and the cards of who holds them lie in `locks/`, because they outlive
//! their fixture. Everything that changes a machine goes through a
//! [`Shell`], which can print the transcript instead.

mod access;
mod api;
mod base;
mod descriptor;
mod error;
mod existing;
mod extensions;
mod fault;
mod fixtures;
mod gc;
mod hasten;
mod health;
mod kind;
mod kwok;
mod lease;
mod lockfile;
mod making;
mod needs;
mod nodes;
mod ports;
mod preflight;
mod process;
mod provider;
mod proxy;
mod removal;
mod settings;
mod shell;
mod slowdown;
mod sweep;

pub use access::Access;
pub use api::{answer, connect, connect_to, quiet_config};
pub use descriptor::{Component, Descriptor, EXISTING, ProgramUsed, SCHEMA};
pub use error::{Error, Result};
pub use existing::simulates_nodes;
pub use extensions::remove_extensions;
pub use fault::Faults;
pub use fixtures::{Down, Fixtures, Status, Up, UpRequest};
pub use health::Health;
pub use kind::{CLUSTER_LABEL, KIND_PROGRAMS, Kind, KindNode, Shape, container_logs, docker_cluster};
pub use kwok::{Kwok, PROGRAMS};
pub use lease::{Holder, Lease, Mode};
pub use needs::{FREE_OBJECTS, Leave, METRICS, Needs, Right, SIMULATED_NODES};
pub use nodes::{NodeShape, POOL_LABEL, create_nodes, is_ready, node, ready_nodes};
pub use preflight::{NodeCount, Preflight};
pub use process::{Process, State, Usage};
pub use provider::Provider;
pub use proxy::Proxy;
pub use removal::remove;
pub use settings::{Settings, SettingsUsed};
pub use shell::Shell;
pub use slowdown::{Slowdown, Slowed};
pub use sweep::{OWNER_LABEL, RUN_LABEL, Swept, TEST_LABEL, fault_kubeconfig, sweep_files};
