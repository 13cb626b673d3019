//! The pinned programs that the fixtures need: where each comes from, how it is verified, where it is cached.
//!
//! [`Thirdparty::ensure`] asks these places in turn, and keeps the reason for each that it passed over:
//!
//! 1. the path in `KUBEDYNO_<TOOL>`: the user's own, taken as it is, its version recorded;
//! 2. for what users have installed anyway (cargo-nextest), `PATH`, when it is at least the pinned version;
//! 3. the cache, whose entries are complete or not there, and known by size, time and sha256;
//! 4. the project's release, when its sha256 can be checked;
//! 5. a build from the pinned Go modules, or `cargo install`.
//!
//! Whatever was got must say that it is the pinned version before it enters the cache. The pins are data, in
//! `pins.toml`.

mod build;
mod cache;
mod cargo_install;
mod digest;
mod environment;
mod error;
mod go;
mod http;
mod limits;
mod lock;
mod outside;
mod pins;
mod platform;
mod program;
pub mod progress;
mod release;
mod tail;
#[cfg(test)]
mod tests;
mod version;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

pub use crate::cache::sweep_partials;
pub use crate::environment::Environment;
pub use crate::error::Error;
pub use crate::pins::{CargoPin, GoPin, Pin, ReleasePin, pins};
pub use crate::program::{Attempt, Program, Source};
pub use crate::progress::Progress;

use crate::cache::{Entry, Receipt, State};
use crate::error::{GetError, chain};
use crate::limits::Limits;
use crate::lock::Lock;
use crate::pins::Recipe;
use crate::platform::Platform;
use crate::release::Releases;

/// The pinned programs, by way of one cache.
///
/// Share one in a process: it remembers the hosts that it could not reach.
pub struct Thirdparty {
    pins: Vec<Pin>,
    cache: PathBuf,
    modules: PathBuf,
    environment: Environment,
    progress: Arc<dyn Progress>,
    platform: Platform,
    limits: Limits,
    releases: Releases,
    verify: bool,
}

impl Thirdparty {
    /// Programs in `cache`, which is made when it is needed, and Go modules in `modules` (`fixtures/go`).
    pub fn new(cache: PathBuf, modules: PathBuf, environment: Environment, progress: Arc<dyn Progress>) -> Self {
        Self::with_pins(pins().to_vec(), Limits::default(), cache, modules, environment, progress)
    }

    fn with_pins(
        pins: Vec<Pin>,
        limits: Limits,
        cache: PathBuf,
        modules: PathBuf,
        environment: Environment,
        progress: Arc<dyn Progress>,
    ) -> Self {
        // Paths are given to programs that run elsewhere. Only an empty path cannot be made absolute.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let cache = absolute(cache);
        Self {
            releases: Releases::new(&cache, &environment, limits),
            pins,
            cache,
            modules: absolute(modules),
            environment,
            progress,
            platform: Platform::host(),
            limits,
            verify: false,
        }
    }

    /// Whether to hash what is in the cache each time, and not to believe size and time.
    #[must_use]
    pub fn verify(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// A program, got now when it is not there. Shows progress, and waits for another process that is at it.
    ///
    /// # Errors
    /// When nothing is pinned under the name, the path in `KUBEDYNO_<TOOL>` cannot be used, every source was passed
    /// over, or the cache cannot be written to.
    pub fn ensure(&self, name: &str) -> Result<Program, Error> {
        let pin = self.pin(name)?;
        let mut passed_over = Vec::new();
        let user = outside::find(pin, &self.environment, self.limits.version, &mut passed_over)?;
        if let Some(program) = user {
            return Ok(program);
        }
        let entry = self.entry(pin)?;
        if let State::Good(receipt) = entry.check(self.verify) {
            return Ok(cached(pin, &entry, receipt, passed_over));
        }

        let _lock = Lock::take(&entry.lock_file(), &pin.to_string(), self.progress.as_ref())
            .map_err(|error| Error::io(format!("lock {}", pin.name), error))?;
        match entry.check(self.verify) {
            State::Good(receipt) => return Ok(cached(pin, &entry, receipt, passed_over)),
            State::Absent => {
                let why = format!("nothing at {}", entry.directory().display());
                passed_over.push(Attempt::new(Source::Cache, why));
            }
            State::Broken(why) => {
                entry.discard().map_err(|error| Error::io(format!("throw {name} away"), error))?;
                let why = format!("threw {} away: {why}", entry.directory().display());
                self.progress.done(&format!("{pin}: {why}"));
                passed_over.push(Attempt::new(Source::Cache, why));
            }
        }

        let mut fixes = Vec::new();
        for recipe in pin.recipes() {
            let source = recipe.source();
            match self.get(pin, &entry, recipe) {
                Ok(receipt) => {
                    self.progress.done(&format!("{pin}: {source}, {}", receipt.version_output));
                    return Ok(program(pin, &entry, receipt, source, None, passed_over));
                }
                Err(error) => {
                    let attempt = Attempt::new(source, chain(&error));
                    self.progress.done(&format!("{pin}: passed over {attempt}"));
                    passed_over.push(attempt);
                    fixes.extend(error.fix(pin));
                }
            }
        }
        Err(Error::nowhere(pin, passed_over, fixes))
    }

    /// Another version of a program than the pinned one, from the project's release: the modules are pinned.
    ///
    /// # Errors
    /// As [`Self::ensure`]; also for a program whose project publishes no checksums.
    pub fn ensure_version(&self, name: &str, version: &str) -> Result<Program, Error> {
        let pin = self.pin(name)?.at_version(version);
        let pins = vec![pin];
        let (cache, modules) = (self.cache.clone(), self.modules.clone());
        let environment = self.environment.without(&pins[0].variable());
        let other = Self::with_pins(pins, self.limits, cache, modules, environment, Arc::clone(&self.progress));
        other.ensure(name)
    }

    /// The variable that names a program to use instead of the pinned one.
    ///
    /// # Errors
    /// When nothing is pinned under the name.
    pub fn variable(&self, name: &str) -> Result<String, Error> {
        self.pin(name).map(Pin::variable)
    }

    /// Several programs, by name. What is wrong with a name or with a `KUBEDYNO_<TOOL>` is told before anything is
    /// got, since that may take minutes.
    ///
    /// # Errors
    /// As [`Self::ensure`], for the first program that there is an error for.
    pub fn ensure_all(&self, names: &[&str]) -> Result<BTreeMap<String, Program>, Error> {
        let mut programs = self.locate_all(names)?;
        for &name in names {
            if !programs.contains_key(name) {
                programs.insert(name.to_owned(), self.ensure(name)?);
            }
        }
        Ok(programs)
    }

    /// Those of several programs that are there; see [`Thirdparty::locate`].
    ///
    /// # Errors
    /// As [`Thirdparty::locate`].
    pub fn locate_all(&self, names: &[&str]) -> Result<BTreeMap<String, Program>, Error> {
        let mut programs = BTreeMap::new();
        for &name in names {
            programs.extend(self.locate(name)?.map(|program| (name.to_owned(), program)));
        }
        Ok(programs)
    }

    /// A program when it is there: the user's own or a good one in the cache. Nothing is got.
    ///
    /// # Errors
    /// When nothing is pinned under the name, or the path in `KUBEDYNO_<TOOL>` cannot be used.
    pub fn locate(&self, name: &str) -> Result<Option<Program>, Error> {
        let pin = self.pin(name)?;
        let mut passed_over = Vec::new();
        let user = outside::find(pin, &self.environment, self.limits.version, &mut passed_over)?;
        if user.is_some() {
            return Ok(user);
        }
        let entry = self.entry(pin)?;
        Ok(match entry.check(self.verify) {
            State::Good(receipt) => Some(cached(pin, &entry, receipt, passed_over)),
            State::Absent | State::Broken(_) => None,
        })
    }

    /// The directory of the Go module that a program is built from, with the manifests that belong to it. Go fetches the
    /// module when it is not there.
    ///
    /// # Errors
    /// When nothing is pinned under the name, it is built from no Go module, or Go cannot tell.
    pub fn module(&self, name: &str) -> Result<PathBuf, Error> {
        let pin = self.pin(name)?;
        let go =
            pin.go.as_ref().ok_or_else(|| Error::NoModule { pin: pin.to_string(), why: "none is pinned".into() })?;
        go::module(go, &self.modules, &self.environment)
            .map_err(|error| Error::NoModule { pin: pin.to_string(), why: chain(&error) })
    }

    /// Whether Go is here to build a program from its module, and to read the manifests of that; the error is one line.
    /// A program that is built from none needs no Go.
    ///
    /// # Errors
    /// When there is no Go, it is too old, or nothing is pinned under the name.
    pub fn can_build(&self, name: &str) -> Result<(), String> {
        let Some(go) = &self.pin(name).map_err(|error| error.to_string())?.go else { return Ok(()) };
        go::can_build(go, &self.modules, &self.environment).map_err(|error| chain(&error))
    }

    /// Gets a program in one way into the cache. What is half done when it fails goes with the partial.
    fn get(&self, pin: &Pin, entry: &Entry, recipe: Recipe<'_>) -> Result<Receipt, GetError> {
        let partial = entry.partial()?;
        let (work, environment, progress) = (partial.path(), &self.environment, self.progress.as_ref());
        let program = match recipe {
            Recipe::Release(release) => self.releases.get(pin, release, self.platform, work, progress)?,
            Recipe::GoModules(go) => go::build(pin, go, &self.modules, work, environment, progress)?,
            Recipe::CargoInstall(cargo) => cargo_install::install(pin, cargo, work, environment, progress)?,
        };
        cache::make_executable(&program)?;
        let version = version::require(pin, &program, environment, self.limits.version)?;
        Ok(entry.fill(&partial, &program, recipe.source(), version)?)
    }

    fn pin(&self, name: &str) -> Result<&Pin, Error> {
        self.pins.iter().find(|pin| pin.name == name).ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            known: self.pins.iter().map(|pin| pin.name.clone()).collect(),
        })
    }

    fn entry(&self, pin: &Pin) -> Result<Entry, Error> {
        Entry::new(&self.cache, &self.modules, pin, self.platform)
    }
}

impl fmt::Debug for Thirdparty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Thirdparty")
            .field("cache", &self.cache)
            .field("modules", &self.modules)
            .field("verify", &self.verify)
            .finish_non_exhaustive()
    }
}

fn cached(pin: &Pin, entry: &Entry, receipt: Receipt, passed_over: Vec<Attempt>) -> Program {
    let origin = Some(receipt.source);
    program(pin, entry, receipt, Source::Cache, origin, passed_over)
}

fn program(
    pin: &Pin,
    entry: &Entry,
    receipt: Receipt,
    source: Source,
    origin: Option<Source>,
    passed_over: Vec<Attempt>,
) -> Program {
    Program {
        name: pin.name.clone(),
        version: receipt.version_output,
        pinned_version: pin.version.clone(),
        path: entry.program(),
        source,
        origin,
        passed_over,
        sha256: receipt.sha256,
        deviates: false,
    }
}
