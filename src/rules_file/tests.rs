//! Reading several files as one set, on a real disk.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What is included, as paths from the folder, and what is wrong.
fn read(folder: &Path) -> (Vec<String>, Vec<String>) {
    let read = RulesFile::new(folder.join("routes.yaml")).read().unwrap();
    let name = |file: &RuleFile| file.name.strip_prefix(&format!("{}/", folder.display())).unwrap().to_owned();
    let told = |trouble: &Trouble| format!("{} {}", trouble.entry, trouble.message);
    (read.files.included.iter().map(name).collect(), read.files.troubles.iter().map(told).collect())
}

#[test]
fn files_come_in_the_order_of_the_list_and_of_their_paths_and_each_once() {
    let folder = folder(&[
        ("routes.yaml", "include: [last.yaml, teams/*/routes.yaml, '*.yaml', ./teams/a/../b/routes.yaml, 'teams/?/*.yml']"),
        ("last.yaml", ""),
        ("first.yaml", ""),
        ("Zoe.yaml", ""),
        (".hidden.yaml", ""),
        ("routes.test.yaml", ""),
        ("notes.txt", ""),
        ("teams/b/routes.yaml", ""),
        ("teams/a/routes.yaml", ""),
        ("teams/a/more.yml", ""),
        ("teams/.old/routes.yaml", ""),
        ("teams/readme.yaml", ""),
    ]);
    let expected = ["last.yaml", "teams/a/routes.yaml", "teams/b/routes.yaml", "Zoe.yaml", "first.yaml", "teams/a/more.yml"];
    assert_eq!(read(folder.path()), (expected.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn a_folder_that_kubernetes_fills_gives_each_file_once() {
    let folder = folder(&[
        ("..2026_11_28/routes.yaml", "include: ['*.yaml', 'crm/*.yaml', '*/*.yaml']"),
        ("..2026_11_28/slack.yaml", ""),
        ("..2026_11_28/crm/a.yaml", ""),
    ]);
    symlink("..2026_11_28", folder.path().join("..data")).unwrap();
    for name in ["routes.yaml", "slack.yaml", "crm"] {
        symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
    }
    assert_eq!(read(folder.path()), (vec!["slack.yaml".to_owned(), "crm/a.yaml".to_owned()], vec![]));
}

#[test]
fn what_cannot_be_read_is_told_of_at_its_entry() {
    let folder = folder(&[
        ("routes.yaml", "include: [gone.yaml, folder.yaml, latin.yaml, routes.yaml, 'none/*.yaml', fine.yaml, pipe.yaml, link.yaml]"),
        ("folder.yaml/a.yaml", ""),
        ("fine.yaml", ""),
    ]);
    fs::write(folder.path().join("latin.yaml"), b"a: 1\nb: \xe9\n").unwrap();
    // Nobody writes into it: whoever opens it would wait for ever.
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe.yaml")).status().unwrap();
    assert!(made.success());
    symlink("nowhere.yaml", folder.path().join("link.yaml")).unwrap();
    let (included, troubles) = read(folder.path());
    assert_eq!(included, ["fine.yaml"]);
    let expected = [
        "0 there is no file `gone.yaml`",
        "1 `folder.yaml` is a folder",
        "2 cannot read ",
        "3 `routes.yaml` is this file itself",
        "4 no file fits `none/*.yaml`",
        "6 `pipe.yaml` is not a file",
        "7 there is no file `link.yaml`",
    ];
    assert_eq!(troubles.len(), expected.len(), "{troubles:?}");
    for (told, expected) in troubles.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}");
    }
    assert!(troubles[2].ends_with("line 2 is not UTF-8; save the file as UTF-8"), "{}", troubles[2]);
}

#[test]
fn there_are_limits_on_files_and_names() {
    let many = folder(&[("routes.yaml", "include: ['*.yaml']")]);
    for number in 0..=INCLUDED_MAX {
        fs::write(many.path().join(format!("{number:04}.yaml")), "").unwrap();
    }
    let (included, troubles) = read(many.path());
    assert_eq!((included.len(), troubles), (INCLUDED_MAX, vec!["0 more than 500 files".to_owned()]));
    let large = folder(&[("routes.yaml", "include: ['*.yaml']"), ("a.yaml", &"#".repeat(BYTES_MAX)), ("b.yaml", ""), ("c.yaml", "")]);
    let files = RulesFile::new(large.path().join("routes.yaml")).read().unwrap().files;
    assert_eq!(files.included.len(), 1, "what is more is not read");
    let loaded = config::load_from(&files, Values::Of(&|_| None));
    assert!(loaded.findings[0].message.starts_with("the file is, with those that it includes, larger than 4 MiB"), "{:?}", loaded.findings);
}

/// The set is swapped all the time, as a ConfigMap is, and each reading gives files of one and the same version.
#[test]
fn a_set_that_is_swapped_while_it_is_read_is_read_as_one() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let folder = tempfile::tempdir().unwrap();
    let swap = |version: usize| {
        let data = folder.path().join(format!("..{version}"));
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("routes.yaml"), format!("# {version}\ninclude: ['part-*.yaml']")).unwrap();
        for part in 0..20 {
            fs::write(data.join(format!("part-{part:02}.yaml")), format!("# {version}\n")).unwrap();
        }
        symlink(format!("..{version}"), folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    swap(0);
    for name in (0..20).map(|part| format!("part-{part:02}.yaml")).chain(["routes.yaml".to_owned()]) {
        symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
    }
    let stop = AtomicBool::new(false);
    let rules = RulesFile::new(folder.path().join("routes.yaml"));
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        let (swap, stop) = (&swap, &stop);
        scope.spawn(move || {
            for version in 1..2000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                swap(version);
                std::thread::sleep(std::time::Duration::from_micros(700));
            }
        });
        for _ in 0..300 {
            // Where it changes too fast, nothing is read, rather than something of both.
            let Ok(read) = rules.read() else { continue };
            let versions: std::collections::BTreeSet<&str> = read.files.iter().filter_map(|file| file.text.lines().next()).collect();
            assert_eq!((versions.len(), read.files.included.len()), (1, 20), "{versions:?}");
            seen.insert(versions.first().unwrap().to_string());
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(seen.len() > 3, "several versions were read: {seen:?}");
}
