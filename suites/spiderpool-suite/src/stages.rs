//! The stages of a pod. It is intended when its Deployment is created, or when its predecessor is deleted.

use measure::ledger::Stage;

/// Their names.
pub const POD: &[&str] = &[
    "intended",
    "observed",
    "scheduled",
    "addressed",
    "running",
    "power lost",
    "addressed again",
    "running again",
    "delete requested",
    "released",
    "gone",
];

/// Its Deployment was asked for it.
pub const INTENDED: Stage = 0;
/// The watch shows it.
pub const OBSERVED: Stage = 1;
/// It is bound to a node.
pub const SCHEDULED: Stage = 2;
/// The plugin has given it addresses.
pub const ADDRESSED: Stage = 3;
/// Its status says that it runs.
pub const RUNNING: Stage = 4;
/// Its node has lost power, and got it back.
pub const POWER_LOST: Stage = 5;
/// The plugin has given its second sandbox addresses.
pub const ADDRESSED_AGAIN: Stage = 6;
/// Its status says that it runs again.
pub const RUNNING_AGAIN: Stage = 7;
/// Its deletion was asked for.
pub const DELETE_REQUESTED: Stage = 8;
/// The plugin has taken its addresses back.
pub const RELEASED: Stage = 9;
/// Its object is gone.
pub const GONE: Stage = 10;
