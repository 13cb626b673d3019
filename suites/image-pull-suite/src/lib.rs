//! The driver of the image pull test: Deployments created at a fixed rate, each pod pulling one large image, with
//! pull time, throughput and pod startup measured. Nothing is built yet; the README lists the document's claims.
