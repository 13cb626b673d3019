//! The driver of the Spegel benchmark: a DaemonSet is created and then updated, with and without Spegel, and every
//! image pull is timed and marked with its source. Nothing is built yet; the README lists the document's claims.
