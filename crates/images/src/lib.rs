//! Deterministic OCI images from a seed, and a registry in which every byte of a pull is accounted for.
//!
//! A [`Spec`] says what an image is made of. A [`Layout`] holds images as files (an OCI image layout), from which they
//! are archived for `docker load` and `ctr images import`, or [pushed](push) to a registry. Equal specs make images of
//! equal digests, on any machine.
//!
//! A [`Proxy`] stands before a real registry ([`RegistryConfig`]). Its [`Ledger`] has an entry of its own stamps for every
//! request, with the bytes that went into the client's socket; its [`Faults`] are what registries do on bad days.
//!
//! Everything here is streamed: a layer of any size takes the memory of its buffers.

mod archive;
mod digest;
mod error;
mod image;
mod layer;
mod layout;
mod ldd;
mod ledger;
mod noise;
mod presets;
mod proxy;
mod push;
mod registry;
mod spec;

pub use oci_spec::distribution::Reference;

pub use crate::archive::archive;
pub use crate::error::{Error, Result};
pub use crate::image::Image;
pub use crate::layout::Layout;
pub use crate::ldd::libraries;
pub use crate::ledger::{Ending, Entry, Ledger, Tally};
pub use crate::presets::{Preset, nginx, plex, pytorch};
pub use crate::proxy::{Fault, Faults, Kind, Proxy, Rule};
pub use crate::push::{Pushed, push};
pub use crate::registry::{RegistryConfig, registry_settings};
pub use crate::spec::{Architecture, Compression, File, Layer, Source, Spec};
