//! The second clock: whether a tenant can handle any request. Ready says that a Deployment is rolled out, and its pods are
//! simulated here; so the apiservers of some tenants run as processes, from their Deployments' own arguments and Secrets.

mod apiserver;
mod probe;
mod proxy;

pub use apiserver::TenantApiserver;
pub use probe::{Probe, Shown};
pub use proxy::Proxy;
