//! The image: built by buildah from the repository's Dockerfile around a static binary, and run as a container would be, but for
//! the network and the process ids: with a read-only root, in mounts of its own, as the image's user.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::command::to_its_end;
use super::{NameServer, Ran, skipped};

/// What the builder leaves to the image comes from here instead.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Mounts what a container engine would mount, and becomes the relay. The arguments: the image's root, rules, store, and the
/// variables and the command that `env` takes.
const RUN: &str = r#"
root=$1 rules=$2 store=$3
shift 3
mount --bind "$root" "$root"
mount --bind "$rules" "$root/etc/wiza-relay"
mount --bind "$store" "$root/var/lib/wiza-relay"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -o remount,bind,ro "$root"
mount -o remount,bind,ro "$root/etc/wiza-relay"
cd /
exec env -i "$@"
"#;

/// An image, unpacked. It is removed when it is dropped.
pub struct Image {
    /// Buildah's; `root` is in it.
    _storage: TempDir,
    rules: TempDir,
    root: PathBuf,
    /// As in the image's configuration: `User`, `Env`, `Labels` and so on.
    pub configuration: Value,
    pub architecture: String,
}

impl Image {
    /// Builds it around the binary that `WIZA_RELAY_STATIC_BINARY` names (tests/static makes one). `None`, said loudly, where
    /// that cannot be had.
    pub fn build() -> Option<Self> {
        let Some(binary) = std::env::var_os("WIZA_RELAY_STATIC_BINARY") else {
            skipped("WIZA_RELAY_STATIC_BINARY names no static binary to make the image of");
            return None;
        };
        if !Command::new("unshare").args(["--mount", "true"]).status().is_ok_and(|status| status.success()) {
            skipped("the image cannot be run: this process may not have mounts of its own");
            return None;
        }
        if Command::new("buildah").arg("--version").output().is_err() {
            skipped("the image cannot be built: there is no buildah");
            return None;
        }
        let stage = tempfile::tempdir().unwrap();
        let put = |from: &Path, to: &str| {
            let to = stage.path().join(to);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        };
        put(Path::new(&binary), "out/wiza-relay");
        put(&Path::new("/").join(AUTHORITIES), AUTHORITIES);
        let state = stage.path().join("out/state/wiza-relay");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::set_permissions(&state, PermissionsExt::from_mode(0o700)).unwrap();

        let storage = tempfile::Builder::new().prefix("wiza-relay-image-").tempdir().unwrap();
        let buildah = |arguments: &[&str]| buildah(storage.path(), arguments);
        let from = format!("builder={}", stage.path().display());
        let version = format!("VERSION={}", env!("CARGO_PKG_VERSION"));
        let build = ["build", "--isolation", "chroot", "--target", "image", "--build-context", &from, "--build-arg", &version];
        buildah(&[&build[..], &["--build-arg", "REVISION=4711", "--tag", "wiza-relay", env!("CARGO_MANIFEST_DIR")]].concat());
        let told: Value = serde_json::from_slice(&buildah(&["inspect", "--type", "image", "wiza-relay"]).stdout).unwrap();
        let container = line(buildah(&["from", "--pull-never", "wiza-relay"]));
        let root = PathBuf::from(line(buildah(&["mount", &container])));
        let (configuration, architecture) = (told["OCIv1"]["config"].clone(), told["OCIv1"]["architecture"].as_str().unwrap().to_owned());
        let rules = tempfile::tempdir().unwrap();
        std::fs::set_permissions(rules.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Some(Self { _storage: storage, rules, root, configuration, architecture })
    }

    /// Its root file system.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is to be mounted as the folder of the rules.
    pub fn rules(&self) -> &Path {
        self.rules.path()
    }

    /// Gives it what every container engine gives: places to mount at, and names.
    pub fn prepare(&self, names: &NameServer) {
        for folder in ["dev", "proc", "etc/wiza-relay"] {
            std::fs::create_dir_all(self.root.join(folder)).unwrap();
        }
        std::fs::write(self.root.join("etc/resolv.conf"), format!("nameserver {}\n", names.address)).unwrap();
        std::fs::write(self.root.join("etc/hosts"), "127.0.0.1 localhost\n").unwrap();
    }

    /// Its entry point, with these arguments instead of its own unless there are none, and with these variables beside its own.
    pub fn command(&self, store: &Path, environment: impl Iterator<Item = (String, String)>, arguments: &[&str]) -> Command {
        let user = self.configuration["User"].as_str().unwrap();
        let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
        std::fs::create_dir_all(store).unwrap();
        chown(store, Some(ids[0]), Some(ids[1])).unwrap();
        let variables = environment.map(|(name, value)| format!("{name}={value}"));
        let chroot = ["/usr/sbin/chroot", "/usr/bin/chroot", "/sbin/chroot"].into_iter().find(|path| Path::new(path).exists()).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-euc", RUN, "sh"]).args([self.root(), self.rules(), store]);
        command.args(strings(&self.configuration["Env"])).args(variables);
        command
            .args([chroot, &format!("--userspec={user}"), "--groups="])
            .arg(self.root())
            .args(strings(&self.configuration["Entrypoint"]));
        if arguments.is_empty() {
            command.args(strings(&self.configuration["Cmd"]))
        } else {
            command.args(arguments)
        };
        command
    }

    /// Runs a command in it to its end.
    pub async fn run(&self, store: &Path, arguments: &[&str]) -> Ran {
        let command = self.command(store, std::iter::empty(), arguments);
        tokio::task::spawn_blocking(move || to_its_end(command)).await.unwrap()
    }
}

/// Runs buildah on storage of its own; `vfs` needs nothing of the kernel.
fn buildah(storage: &Path, arguments: &[&str]) -> Output {
    let folder = |name: &str| storage.join(name).display().to_string();
    let ran = Command::new("buildah")
        .args(["--storage-driver", "vfs", "--root", &folder("storage"), "--runroot", &folder("run")])
        .args(arguments)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    ran
}

fn line(ran: Output) -> String {
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|item| item.as_str().unwrap()).collect()
}
