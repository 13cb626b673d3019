//! The driver of the Kamaji benchmark: Tenant Control Planes on one shared DataStore, their time to Ready, and what
//! the operator costs in CPU and memory. Nothing is built yet; the README lists the document's claims.
