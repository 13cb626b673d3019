//! The stages of a Tenant Control Plane, in the order of its life here.

use measure::ledger::Stage;

/// Their names.
pub const TENANT: &[&str] = &[
    "applied",
    "observed",
    "ready",
    "unanswered from",
    "unanswered to",
    "started",
    "answers",
    "usable",
    "steady from",
    "steady to",
    "operator killed",
    "reconciled again",
    "rotation asked",
    "rotated",
    "expired",
    "renewed",
    "upgrade asked",
    "upgraded",
    "sleep asked",
    "asleep",
    "wake asked",
    "awake",
    "delete asked",
    "gone",
];

/// Its object was about to be created.
pub const APPLIED: Stage = 0;
/// The watch shows it.
pub const OBSERVED: Stage = 1;
/// Its status says Ready: its Deployment is rolled out. Nothing is said of its apiserver.
pub const READY: Stage = 2;
/// The operator began to be refused by tenants that have no apiserver yet.
pub const UNANSWERED_FROM: Stage = 3;
/// It stopped being refused.
pub const UNANSWERED_TO: Stage = 4;
/// Its apiserver was about to be started.
pub const STARTED: Stage = 5;
/// Its `/readyz` says ok to its administrator.
pub const ANSWERS: Stage = 6;
/// Its administrator may create a namespace, and everything that kubeadm and the add-ons bring is there.
pub const USABLE: Stage = 7;
/// Nobody has anything to do any more.
pub const STEADY_FROM: Stage = 8;
/// Until here.
pub const STEADY_TO: Stage = 9;
/// The operator was killed.
pub const KILLED: Stage = 10;
/// The next operator says that it has reconciled it.
pub const RECONCILED_AGAIN: Stage = 11;
/// A certificate of it was taken away.
pub const ROTATION_ASKED: Stage = 12;
/// It has another one, and its Deployment is rolled out with it.
pub const ROTATED: Stage = 13;
/// The time of a certificate of it was over.
pub const EXPIRED: Stage = 14;
/// It has another one, and its Deployment is rolled out with it.
pub const RENEWED: Stage = 15;
/// Another version was asked for.
pub const UPGRADE_ASKED: Stage = 16;
/// Its status says Ready at that version.
pub const UPGRADED: Stage = 17;
/// No replicas were asked for.
pub const SLEEP_ASKED: Stage = 18;
/// It has none.
pub const ASLEEP: Stage = 19;
/// Its replicas were asked for again.
pub const WAKE_ASKED: Stage = 20;
/// It has them.
pub const AWAKE: Stage = 21;
/// Its deletion was asked for.
pub const DELETE_ASKED: Stage = 22;
/// Its object is gone.
pub const GONE: Stage = 23;
