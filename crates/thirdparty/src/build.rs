//! Builds that end with this process, however it ends.
//!
//! A compiler takes minutes and both cores. Left over by a process that was killed, it would be in the way of whatever is
//! measured next. So a build is a process group with a shell in it that reads a pipe from here, to which nobody writes: when
//! the pipe closes, the shell kills the group.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::environment::{Environment, spawn};

/// The watcher has none of the build's output open: that ends with the build. What is in the background reads /dev/null
/// unless it is given a file of its own.
const TIED: &str = r#"exec 3<&0 </dev/null
( while read -r _; do :; done; kill -KILL 0 ) <&3 3<&- >/dev/null 2>&1 &
exec "$@" 3<&-"#;

/// A command for [`run`], to which arguments and variables may be added.
pub(crate) fn command(environment: &Environment, program: &Path) -> Command {
    let mut command = environment.command(Path::new("/bin/sh"));
    command.args(["-c", TIED, "sh"]).arg(program).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs a build to its end, and hands on each line of what it says.
pub(crate) fn run(command: &mut Command, mut line: impl FnMut(String)) -> io::Result<ExitStatus> {
    let mut child = spawn(command)?;
    // Waiting for a child closes its standard input first.
    let alive = child.stdin.take();
    for said in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
        line(said?);
    }
    let status = child.wait();
    drop(alive);
    status
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SHELL: &str = "/bin/sh";

    #[test]
    fn what_a_build_says_and_how_it_ends_come_back() {
        let mut said = Vec::new();
        let mut build = command(&Environment::from_process(), Path::new(SHELL));
        let status =
            run(build.args(["-c", "echo compiling >&2; echo done >&2; exit 3"]), |line| said.push(line)).unwrap();
        assert_eq!((said, status.code()), (vec!["compiling".to_owned(), "done".to_owned()], Some(3)));
    }

    #[test]
    fn a_build_ends_when_nobody_waits_for_it_any_more() {
        let mut build = command(&Environment::from_process(), Path::new(SHELL));
        let mut child = spawn(build.args(["-c", "sleep 600 & wait"])).unwrap();
        // What the kernel does to the pipe of a process that is killed.
        drop(child.stdin.take());
        let begun = Instant::now();
        // Its output is open as long as any process of the group lives.
        assert_eq!(BufReader::new(child.stderr.take().unwrap()).lines().count(), 0);
        child.wait().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60), "it went on");
    }
}
