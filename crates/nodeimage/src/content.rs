//! The images of the control plane, made of the pinned programs, in the content store of the node's containerd.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cluster::Shell;
use fs_err as fs;
use images::{File, Layout, Reference, Source, Spec, libraries};

use crate::error::{Error, Result};
use crate::ingredients::Ingredients;

/// What kube-proxy calls, from Debian's root.
const KUBE_PROXY_CALLS: [&str; 4] =
    ["usr/sbin/xtables-nft-multi", "usr/sbin/xtables-legacy-multi", "usr/sbin/nft", "usr/sbin/conntrack"];
/// The names under which it calls them.
const IPTABLES: [&str; 6] =
    ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"];
/// How long containerd may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The images that kubeadm wants to find on a node.
pub(crate) fn names(ingredients: &Ingredients, shell: &Shell) -> Result<Vec<String>> {
    let args = ["config", "images", "list", "--kubernetes-version", ingredients.version()];
    Ok(shell.output(ingredients.program("node-kubeadm")?, &args)?.lines().map(|line| line.trim().to_owned()).collect())
}

/// What the images are made of, and where.
pub(crate) struct Content<'a> {
    pub(crate) ingredients: &'a Ingredients,
    /// The directory of Kubernetes' Go module.
    pub(crate) kubernetes: &'a Path,
    /// Debian's root.
    pub(crate) debian: &'a Path,
    /// For what is needed on the way.
    pub(crate) work: &'a Path,
    pub(crate) shell: &'a Shell,
}

impl Content<'_> {
    /// Makes the images and lets containerd take them into the node's root. They are not unpacked, which would need mounts.
    pub(crate) fn fill(&self, root: &Path, images: &[String]) -> Result<()> {
        let layout = Layout::open(self.work.join("images"))?;
        for name in images {
            let (files, entrypoint) = match program(name) {
                "pause" => (vec![self.pause()?], &["/pause"][..]),
                // No suite needs it so far, and the cluster is made without it.
                "coredns" => continue,
                "kube-proxy" => (self.kube_proxy()?, &[][..]),
                program => (vec![self.own(program)?], &[][..]),
            };
            let reference = name
                .parse::<Reference>()
                .map_err(|error| Error::Failed(format!("{name} is no image's name: {error}")))?;
            layout.add(&reference, &Spec::of_sizes(0, &[]).over(files, entrypoint))?;
        }
        let archive = self.work.join("images.tar");
        let out = fs::File::create(&archive).map_err(Error::io("write", &archive))?;
        images::archive(&layout, &layout.images()?, out)?;
        import(self.ingredients, &archive, root, self.work, self.shell)
    }

    fn own(&self, program: &str) -> Result<File> {
        let source = Source::Program(self.ingredients.program(program)?.to_owned());
        Ok(File { path: Path::new("usr/local/bin").join(program), source })
    }

    /// The pause container is a program in C, in Kubernetes' own module.
    fn pause(&self) -> Result<File> {
        let source = self.kubernetes.join("build/pause/linux/pause.c").display().to_string();
        let program = self.work.join("pause");
        let args = ["-Os", "-Wall", "-static", "-o", &program.display().to_string(), &source].map(str::to_owned);
        self.shell.run(Path::new("cc"), &args.iter().map(String::as_str).collect::<Vec<_>>(), &[])?;
        Ok(File { path: "pause".into(), source: Source::Program(program) })
    }

    /// kube-proxy with the programs that it calls and the libraries of those. The modules of xtables have libraries of their
    /// own; without libm there are no rules for services of several endpoints, and nobody says so.
    fn kube_proxy(&self) -> Result<Vec<File>> {
        let mut paths: BTreeSet<PathBuf> = KUBE_PROXY_CALLS.iter().map(PathBuf::from).collect();
        let multiarch = format!("usr/lib/{}-linux-gnu/xtables", std::env::consts::ARCH);
        let modules = self.debian.join(&multiarch);
        for entry in fs::read_dir(&modules).map_err(Error::io("read", &modules))? {
            let name = entry.map_err(Error::io("read", &modules))?.file_name();
            paths.insert(Path::new(&multiarch).join(name));
        }
        paths.extend(needed(self.debian, &paths, self.shell)?);
        let copy = |path: PathBuf| File { source: Source::Program(self.debian.join(&path)), path };
        let link = |name: &&str| File {
            path: Path::new("usr/sbin").join(name),
            source: Source::Link("xtables-nft-multi".into()),
        };
        let links: Vec<File> = IPTABLES.iter().map(link).collect();
        Ok(paths.into_iter().map(copy).chain(links).chain([self.own("kube-proxy")?]).collect())
    }
}

/// The program of an image, by its name: `registry.test/etcd:3.6.8-0` holds etcd.
fn program(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(':').next().unwrap_or(name)
}

/// The libraries of programs, as their own loader finds them.
fn needed(debian: &Path, paths: &BTreeSet<PathBuf>, shell: &Shell) -> Result<Vec<PathBuf>> {
    let (root, paths) = (debian.display().to_string(), paths.iter().map(|path| format!("/{}", path.display())));
    let paths: Vec<String> = paths.collect();
    let args: Vec<&str> = [root.as_str(), "ldd"].into_iter().chain(paths.iter().map(String::as_str)).collect();
    let listed = shell.output(Path::new("chroot"), &args)?;
    Ok(libraries(&listed).map(|path| PathBuf::from(path.trim_start_matches('/'))).collect())
}

fn import(ingredients: &Ingredients, archive: &Path, root: &Path, work: &Path, shell: &Shell) -> Result<()> {
    let (socket, config) = (work.join("containerd.sock"), work.join("containerd.toml"));
    let text = format!(
        "version = 3\nroot = '{}'\nstate = '{}'\ndisabled_plugins = ['io.containerd.cri.v1.images', \
         'io.containerd.cri.v1.runtime', 'io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{}'\n[ttrpc]\naddress = '{}.ttrpc'\n",
        root.join("var/lib/containerd").display(),
        work.join("state").display(),
        socket.display(),
        socket.display(),
    );
    fs::write(&config, text).map_err(Error::io("write", &config))?;
    let _containerd = Running::start(ingredients.program("containerd")?, &config, &work.join("containerd.log"))?;
    let ctr = ingredients.program("ctr")?;
    let socket = socket.display().to_string();
    let started = Instant::now();
    while let Err(error) = shell.run(ctr, &["--address", &socket, "version"], &[]) {
        if started.elapsed() > PATIENCE {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let archive = archive.display().to_string();
    let args =
        ["--address", &socket, "--namespace", "k8s.io", "images", "import", "--all-platforms", "--no-unpack", &archive];
    Ok(shell.run(ctr, &args, &[])?)
}

/// A containerd that ends with the import.
struct Running(Child);

impl Running {
    fn start(program: &Path, config: &Path, log: &Path) -> Result<Self> {
        let out = std::fs::File::create(log).map_err(Error::io("write", log))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        command.spawn().map(Self).map_err(Error::io("start", program))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has to close its database: SIGKILL would leave it half written.
        let pid = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().ok();
        self.0.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_program() {
        assert_eq!(program("registry.test/kube-apiserver:v1.36.3"), "kube-apiserver");
        assert_eq!(program("registry.test/coredns/coredns:v1.14.2"), "coredns");
        assert_eq!(program("localhost:5000/etcd:3.6.8-0"), "etcd");
    }
}
