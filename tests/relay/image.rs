//! The image of the Dockerfile: what is in it, and that the relay does its work from inside.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use crate::harness::certificates::{Authority, write};
use crate::harness::{Image, NameServer, Receiver, Setup, eventually, repository, reveal, skipped};

const SIZE_MAX: u64 = 20 << 20;
const USER: u32 = 65532;
/// Known to the test's name server only.
const HOST: &str = "crm.example.com";

/// All that is below a folder, with its own path, except folders that hold something.
fn contents(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    if entries.is_empty() {
        found.push(folder.to_owned());
    }
    for entry in entries {
        if entry.is_dir() { contents(&entry, found) } else { found.push(entry) }
    }
}

#[test]
fn it_is_small_and_says_what_it_is() {
    let Some(image) = Image::build() else { return };
    let mut found = Vec::new();
    contents(image.root(), &mut found);
    let size: u64 = found.iter().map(|path| path.metadata().unwrap().len()).sum();
    println!("the image has {size} bytes");
    assert!(size < SIZE_MAX, "{size}");
    let mut names: Vec<&str> = found.iter().map(|path| path.strip_prefix(image.root()).unwrap().to_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["etc/ssl/certs/ca-certificates.crt", "usr/local/bin/wiza-relay", "var/lib/wiza-relay"]);
    let store = image.root().join("var/lib/wiza-relay").metadata().unwrap();
    assert_eq!((store.uid(), store.gid(), store.mode() & 0o777), (USER, USER, 0o700));
    let binary = image.root().join("usr/local/bin/wiza-relay").metadata().unwrap();
    assert_eq!((binary.uid(), binary.mode() & 0o777), (0, 0o755), "the relay cannot change itself");

    let told = &image.configuration;
    assert_eq!(told["User"], json!(format!("{USER}:{USER}")));
    assert_eq!((&told["Entrypoint"], &told["Cmd"]), (&json!(["wiza-relay"]), &json!(["serve"])));
    assert_eq!(told["ExposedPorts"], json!({ "8080/tcp": {}, "9090/tcp": {} }));
    assert_eq!(told["Volumes"], json!({ "/var/lib/wiza-relay": {} }));
    assert_eq!(told["WorkingDir"], "/var/lib/wiza-relay");
    for (name, value) in [
        ("title", "wiza-relay"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("revision", "4711"),
        ("created", "1970-01-01T00:00:00Z"),
        ("licenses", env!("CARGO_PKG_LICENSE")),
        ("description", env!("CARGO_PKG_DESCRIPTION")),
    ] {
        assert_eq!(told["Labels"][format!("org.opencontainers.image.{name}")], value, "{name}");
    }
    assert_eq!(image.architecture, if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
}

/// What a scanner looks for: the crates and their versions, in a section of the binary, as `cargo auditable` puts them there.
#[test]
fn its_binary_says_which_crates_it_is_made_of() {
    let Some(image) = Image::build() else { return };
    if !repository("target/cargo-tools/bin/cargo-auditable").exists() {
        return skipped("there is no cargo-auditable; tests/tools installs it");
    }
    let folder = tempfile::tempdir().unwrap();
    let (section, binary) = (folder.path().join("crates"), image.root().join("usr/local/bin/wiza-relay"));
    let dump = format!(".dep-v0={}", section.display());
    let ran = std::process::Command::new("objcopy").args(["--dump-section", &dump]).arg(&binary).arg(folder.path().join("copy")).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(std::fs::File::open(section).unwrap()).read_to_string(&mut text).unwrap();
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    let crates: Vec<(&str, &str)> =
        told["packages"].as_array().unwrap().iter().map(|it| (it["name"].as_str().unwrap(), it["version"].as_str().unwrap())).collect();
    assert!(crates.contains(&("wiza-relay", env!("CARGO_PKG_VERSION"))), "{crates:?}");
    for name in ["rustls", "rusqlite", "minijinja", "hyper"] {
        assert!(crates.iter().any(|(found, _)| *found == name), "{name} is not in {crates:?}");
    }
}

/// By a name of DNS, to a server that the authorities' file of the image does not know; rules are reloaded, the store is taken up
/// again after a kill, and other commands work beside it.
#[tokio::test(flavor = "multi_thread")]
async fn it_delivers_over_https_from_a_read_only_root() {
    let Some(image) = Image::build().map(Arc::new) else { return };
    let Some(names) = NameServer::start() else { return skipped("port 53 cannot be had for a name server") };
    image.prepare(&names);
    let (own, system) = (Authority::new(), Authority::new());
    write(image.rules(), "own.pem", &own.pem());
    let private = Receiver::secure(Authority::serve(&own.issue(&[HOST]), None)).await;
    let public = Receiver::secure(Authority::serve(&system.issue(&[HOST]), None)).await;
    let routes = |path: &str| {
        format!(
            "defaults: {{ retry: {{ attempts: 1 }} }}
destinations:
  private: {{ url: 'https://{HOST}:{}{path}', tls: {{ ca: /etc/wiza-relay/own.pem }} }}
  public: {{ url: 'https://{HOST}:{}{path}' }}
routes: [{{ name: all, to: [private, public] }}]",
            private.address.port(),
            public.address.port(),
        )
    };
    let setup = Setup::new(routes("/first")).seen_by(&private).seen_by(&public);
    let mut relay = setup.inside(&image).start().await;
    assert!(!relay.log().contains("authorities cannot be used"), "those of the image are read: {}", relay.log());

    let process = Path::new("/proc").join(relay.id().to_string());
    let told = |name: &str| std::fs::read_to_string(process.join(name)).unwrap();
    assert!(told("status").contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n")), "{}", told("status"));
    let mounts = told("mountinfo");
    let options =
        |place: &str| mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find(|fields| fields[4] == place).unwrap()[5];
    assert!(options("/").starts_with("ro") && options("/var/lib/wiza-relay").starts_with("rw"), "{mounts}");
    // As musl's own allocator would have it; the one in use never asks for it.
    assert!(!told("maps").contains("[heap]"), "{}", told("maps"));

    let id = relay.webhook(reveal(1)).accepted().await;
    assert_eq!(private.wait_for(1).await[0].path, "/first");
    assert!(names.asked().iter().any(|name| name == HOST), "{:?}", names.asked());
    let error = eventually("the stranger is refused", async || {
        relay.stored().planned(&id).into_iter().filter(|delivery| delivery.destination == "public").find_map(|delivery| delivery.last_error)
    })
    .await;
    assert!(error.contains("of an authority that is not trusted"), "{error}");
    assert_eq!(public.count(), 0);

    relay.write_rules(routes("/second"));
    relay.reloaded().await;
    relay.webhook(reveal(2)).accepted().await;
    assert_eq!(private.wait_for(2).await[1].path, "/second");
    for arguments in [&["audit"][..], &["backup", "/var/lib/wiza-relay/copy.db"], &["check"], &["demo", "--once"]] {
        let ran = image.run(&relay.store(), arguments).await;
        assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
    }

    relay.kill();
    write(&image.root().join("etc/ssl/certs"), "mounted-beside.pem", &system.pem());
    relay.start_again().await;
    relay.webhook(reveal(3)).accepted().await;
    assert_eq!(public.wait_for(1).await[0].path, "/second");
    private.wait_for(3).await;
    relay.finish().await;
}
