//! Everything that changes the machine: run for real, or written down as a transcript.

use std::fs;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};

/// How often it is looked at a program that runs.
const LOOK: Duration = Duration::from_millis(100);

/// Does what it is told, or says what it would do.
#[derive(Debug, Default)]
pub struct Shell {
    transcript: Option<Mutex<Vec<String>>>,
    interrupted: Arc<AtomicBool>,
}

impl Shell {
    /// A shell that does.
    pub fn real() -> Self {
        Self::default()
    }

    /// A shell that does until somebody sets `interrupted`: then the program that it runs is killed.
    pub fn until(interrupted: Arc<AtomicBool>) -> Self {
        Self { interrupted, ..Self::default() }
    }

    /// A shell that only writes down.
    pub fn dry() -> Self {
        Self { transcript: Some(Mutex::default()), ..Self::default() }
    }

    /// Whether nothing is done.
    pub fn is_dry(&self) -> bool {
        self.transcript.is_some()
    }

    /// # Errors
    /// When it was interrupted.
    pub(crate) fn go_on(&self) -> Result<()> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(Error::Interrupted("not everything was done".to_owned())),
            false => Ok(()),
        }
    }

    /// The same error, as soon as there is one.
    pub(crate) async fn interrupted(&self) -> Error {
        loop {
            match self.go_on() {
                Ok(()) => tokio::time::sleep(LOOK).await,
                Err(interrupted) => return interrupted,
            }
        }
    }

    /// What was written down, a line each.
    pub fn transcript(&self) -> Vec<String> {
        self.transcript
            .as_ref()
            .map(|lines| lines.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .unwrap_or_default()
    }

    /// Writes `line` down; returns whether the deed is to be done.
    pub fn doing(&self, line: impl Into<String>) -> bool {
        match &self.transcript {
            Some(lines) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(line.into());
                false
            }
            None => true,
        }
    }

    /// Runs a program to its end.
    ///
    /// # Errors
    /// When it cannot start or exits non-zero; the error holds the last lines that it printed.
    pub fn run(&self, program: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<()> {
        self.run_while(program, args, env, None, || Ok(()))
    }

    /// Runs a program, which finds those in `first` before those of PATH, to its end, or until `look`, which is called while it
    /// runs, finds that it has no use: then it is killed.
    ///
    /// # Errors
    /// As [`Self::run`], and what `look` says.
    pub(crate) fn run_while(
        &self,
        program: &Path,
        args: &[&str],
        env: &[(&str, &str)],
        first: Option<&Path>,
        mut look: impl FnMut() -> Result<()>,
    ) -> Result<()> {
        let path = first.map_or_else(String::new, |first| format!("PATH={}:$PATH ", first.display()));
        let line = path + &command_line(program, args, env);
        if !self.doing(&line) {
            return Ok(());
        }
        let failed = |status: String, output: String| Error::Command { command: line.clone(), status, output };
        let not_started = |error: std::io::Error| failed("did not start".to_owned(), error.to_string());
        // A file and not a pipe: what the program leaves running may hold it open.
        let mut said = tempfile::tempfile().map_err(not_started)?;
        let both = said.try_clone().and_then(|out| Ok((out, said.try_clone()?)));
        let (out, err) = both.map_err(not_started)?;
        let others = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(first.map(Path::to_owned).into_iter().chain(std::env::split_paths(&others)));
        let path = path.map_err(|error| not_started(std::io::Error::other(error)))?;
        let mut command = Command::new(program);
        command.args(args).envs(env.iter().copied()).env("PATH", path).stdin(Stdio::null()).stdout(out).stderr(err);
        let mut child = command.spawn().map_err(not_started)?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(not_started)? {
                break status;
            }
            if let Err(useless) = self.go_on().and_then(|()| look()) {
                // It may have ended by itself meanwhile.
                child.kill().ok();
                child.wait().ok();
                return Err(useless);
            }
            std::thread::sleep(LOOK);
        };
        if !status.success() {
            // Ctrl-C goes to the program as well, which may have ended of it before it was known here.
            std::thread::sleep(LOOK);
        }
        // It may also say that all is well.
        self.go_on()?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        said.rewind().and_then(|()| said.read_to_end(&mut text)).ok();
        Err(failed(status.to_string(), last_lines(&String::from_utf8_lossy(&text), 5)))
    }

    /// Runs a program for what it prints; in a dry shell that is nothing.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn output(&self, program: &Path, args: &[&str]) -> Result<String> {
        let line = command_line(program, args, &[]);
        if !self.doing(&line) {
            return Ok(String::new());
        }
        let failed = |status: String, output: String| Error::Command { command: line.clone(), status, output };
        let output = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed("did not start".to_owned(), error.to_string()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(failed(output.status.to_string(), last_lines(&String::from_utf8_lossy(&text), 5)))
    }

    /// Makes a directory that only its owner may enter.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_dir(&self, path: &Path) -> Result<()> {
        if path.is_dir() || !self.doing(format!("mkdir -p -m 0700 {}", path.display())) {
            return Ok(());
        }
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(Error::io("set the mode of", path))
    }

    /// Writes a file whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        if !self.doing(format!("write -m 0600 {}", path.display())) {
            return Ok(());
        }
        write_private(path, bytes).map_err(Error::io("write", path))
    }

    /// Lets `link` lead to `target`, wherever it led before.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn link(&self, target: &Path, link: &Path) -> Result<()> {
        if !self.doing(format!("ln -s {} {}", target.display(), link.display())) {
            return Ok(());
        }
        match fs::remove_file(link) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", link)(error)),
            _ => symlink(target, link).map_err(Error::io("create", link)),
        }
    }

    /// Takes every other user's rights off the files in `dir`.
    ///
    /// # Errors
    /// When the directory cannot be read or a mode cannot be set.
    pub fn make_private(&self, dir: &Path) -> Result<()> {
        if !self.doing(format!("chmod 0600 {}/*", dir.display())) {
            return Ok(());
        }
        for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
            let path = entry.map_err(Error::io("read", dir))?.path();
            if path.is_file() {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
                    .map_err(Error::io("set the mode of", &path))?;
            }
        }
        Ok(())
    }

    /// Removes a file; one that is not there is fine.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove_file(&self, path: &Path) -> Result<()> {
        if !path.exists() || !self.doing(format!("rm {}", path.display())) {
            return Ok(());
        }
        fs::remove_file(path).map_err(Error::io("remove", path))
    }

    /// Removes a directory and all below it; one that is not there is fine.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn remove_dir(&self, path: &Path) -> Result<()> {
        if !path.exists() || !self.doing(format!("rm -r {}", path.display())) {
            return Ok(());
        }
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
            _ => Ok(()),
        }
    }
}

/// Writes `bytes` to a temporary file beside `path` and renames it: a reader sees the old file or the new one.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    // tempfile makes its files 0600.
    file.persist(path)?;
    Ok(())
}

fn command_line(program: &Path, args: &[&str], env: &[(&str, &str)]) -> String {
    let env = env.iter().map(|(key, value)| format!("{key}={value} "));
    let args = args.iter().map(|arg| format!(" {arg}"));
    format!("{}{}{}", env.collect::<String>(), program.display(), args.collect::<String>())
}

fn last_lines(text: &str, n: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(n)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dry_shell_changes_nothing_and_writes_everything_down() {
        let dir = tempfile::tempdir().unwrap();
        let shell = Shell::dry();
        shell.make_dir(&dir.path().join("a")).unwrap();
        shell.write(&dir.path().join("b"), b"x").unwrap();
        shell.run(Path::new("kwokctl"), &["create", "cluster"], &[("KWOK_WORKDIR", "w")]).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(shell.transcript().len(), 3);
        assert_eq!(shell.transcript()[2], "KWOK_WORKDIR=w kwokctl create cluster");
    }

    #[test]
    fn a_file_is_replaced_whole_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Shell::real().write(&path, b"one").unwrap();
        Shell::real().write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_failed_command_says_its_last_words() {
        let error = Shell::real().run(Path::new("/bin/sh"), &["-c", "echo why >&2; exit 3"], &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("why") && text.contains("exit status: 3"), "{text}");
        let (program, first) = (Path::new("/bin/sh"), Some(Path::new("/pinned")));
        let error = Shell::real().run_while(program, &["-c", "echo why >&2; exit 3"], &[], first, || Ok(()));
        assert_eq!(error.unwrap_err().to_string(), text.replacen('`', "`PATH=/pinned:$PATH ", 1));
    }

    #[test]
    fn a_command_of_no_more_use_is_ended() {
        let started = std::time::Instant::now();
        let useless = || Err(Error::Failed("no use".to_owned()));
        let error = Shell::real().run_while(Path::new("/bin/sleep"), &["600"], &[], None, useless).unwrap_err();
        assert_eq!(error.to_string(), "no use");
        let shell = Shell::until(Arc::new(AtomicBool::new(true)));
        let error = shell.run(Path::new("/bin/sleep"), &["600"], &[]).unwrap_err();
        assert!(matches!(error, Error::Interrupted(_)), "{error}");
        assert!(started.elapsed() < Duration::from_secs(60));
    }
}
