//! The driver of the Spiderpool performance test: many pods on as many addresses through create, rebuild, recover
//! and delete, beside other IPAM plugins. Nothing is built yet; the README lists the document's claims.
