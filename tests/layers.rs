//! The layers of ARCHITECTURE.md, held against the imports of the code: they go downwards only, flows do not know each other, and
//! no two modules need each other. Tests inside of `src` may import what they like.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// From the bottom up. Each top-level module of `src` stands in one of them.
const LAYERS: [(&str, &str); 5] = [
    ("words", "asker delivery durations event fault json names problem reply_words text visible wire"),
    (
        "pure",
        "circuit condition config egress envelope explain guesses oauth2 own_events pace proxies retry retry_after route rule_test \
         rules signature success tls trace_context transform verify withhold",
    ),
    ("effects", "chance clock core_dumps listen metrics open_files rules_file send service_manager store traces vitals"),
    ("flows", "admin deliver receive"),
    ("wiring", "announce app books cli lib main reload"),
];
const FLOWS: usize = 3;

/// Folders whose parts are held free of circles too, with the imports that still close one: `from -> to`. A list only ever shrinks; one
/// that is not needed any more fails the test.
const FOLDERS: [(&[&str], &[&str]); 5] = [
    (&[], &[]),
    (&["condition"], &[]),
    (&["store", "embedded"], &[]),
    (&["config"], &["doubts -> destinations", "doubts -> routes", "reading -> doubts"]),
    (&["transform"], &["names -> foresight", "templates -> request"]),
];

/// One import: where it stands, the module that imports, and what it imports.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    place: String,
    from: Vec<String>,
    to: Vec<String>,
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name == "tests" || name.ends_with("_tests") {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// All that the code imports by `crate::...` and `super::...`, be it in a `use` or on the spot.
fn imports() -> Vec<Import> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut imports) = (Vec::new(), Vec::new());
    files(&source, &mut found);
    for file in found {
        let shown = file.strip_prefix(source.parent().unwrap()).unwrap().display().to_string();
        let mut from: Vec<String> = shown.trim_end_matches(".rs").split('/').skip(1).map(str::to_owned).collect();
        from.pop_if(|last| last == "mod");
        let depth = from.len();
        let text = std::fs::read_to_string(&file).unwrap();
        // A file's own tests are its last part.
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let mut lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
        while let Some((number, line)) = lines.next() {
            // A module that is written into a file.
            if let Some((_, name)) = line.strip_suffix(" {").and_then(|line| line.split_once("mod ")) {
                from.push(name.to_owned());
            } else if line == "}" && from.len() > depth {
                from.pop();
            }
            let mut statement = line.trim().to_owned();
            if statement.starts_with("use ") || statement.starts_with("pub") && statement.contains(" use ") {
                while !statement.ends_with(';') {
                    statement += lines.next().unwrap().1.trim();
                }
            }
            for path in paths(&statement) {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let base = if ups == 0 { Vec::new() } else { from[..from.len().saturating_sub(ups)].to_vec() };
                let to = base.into_iter().chain(path.into_iter().skip(ups.max(1))).collect();
                imports.push(Import { place: format!("{shown}:{}", number + 1), from: from.clone(), to });
            }
        }
    }
    imports.sort();
    imports.dedup();
    imports
}

/// The paths of a line that begin with `crate` or `super`, with every member of a group in braces by itself.
fn paths(line: &str) -> Vec<Vec<String>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = ["crate::", "super::"].into_iter().flat_map(|root| line.match_indices(root).map(|(at, _)| at));
    let starts = starts.filter(|at| !line[..*at].ends_with(is_word) && !line[..*at].ends_with("::"));
    let mut found = Vec::new();
    for start in starts {
        // `outer` holds the paths before each brace that is open, `path` what was read since.
        let (mut outer, mut path, mut word) = (Vec::new(), Vec::<String>::new(), String::new());
        for c in line[start..].chars().chain([' ']) {
            match c {
                c if is_word(c) => word.push(c),
                ':' if !word.is_empty() => path.push(std::mem::take(&mut word)),
                ':' => {}
                '{' if line[..start].contains("use ") => outer.push(path.clone()),
                ',' | '}' if !outer.is_empty() => {
                    if !word.is_empty() {
                        path.push(std::mem::take(&mut word));
                        found.push(path);
                    }
                    path = outer.last().unwrap().clone();
                    if c == '}' {
                        outer.pop();
                    }
                }
                ' ' if !outer.is_empty() => {}
                _ => {
                    path.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
                    found.push(path.clone());
                    break;
                }
            }
        }
    }
    found
}

/// The layer of a top-level module.
fn layer(module: &str) -> usize {
    let layer = LAYERS.iter().position(|(_, modules)| modules.split_whitespace().any(|known| known == module));
    layer.unwrap_or_else(|| panic!("src/{module} has no layer: give it one in LAYERS of tests/layers.rs, and say in src/lib.rs what it is"))
}

#[test]
fn imports_go_downwards() {
    let mut wrong = String::new();
    for Import { place, from, to } in imports() {
        let (Some(from), Some(to)) = (from.first(), to.first()) else { continue };
        // What `src/lib.rs` itself holds beside modules has no layer; there is nothing of the kind.
        let (own, other) = (layer(from), layer(to));
        let (own_name, other_name) = (LAYERS[own].0, LAYERS[other].0);
        if other > own {
            let _ = writeln!(
                wrong,
                "{place}: `{from}` ({own_name}) imports `{to}` ({other_name}), which lies above it. Move what it needs down to {own_name}, or pass it as an argument."
            );
        } else if own == FLOWS && other == FLOWS && from != to {
            let _ = writeln!(
                wrong,
                "{place}: the flow `{from}` imports the flow `{to}`. Flows meet in the store: move what both need to a layer below."
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn no_two_modules_need_each_other() {
    let imports = imports();
    let mut wrong = String::new();
    for (folder, allowed) in FOLDERS {
        let depth = folder.len();
        let inside = |path: &[String]| path.len() > depth && path.iter().zip(folder).all(|(part, wanted)| part == wanted);
        let parts: BTreeSet<&str> =
            imports.iter().filter(|import| inside(&import.from)).map(|import| import.from[depth].as_str()).collect();
        let edges: Vec<(&str, &str, &str)> = imports
            .iter()
            .filter(|import| inside(&import.from) && inside(&import.to))
            .map(|import| (import.from[depth].as_str(), import.to[depth].as_str(), import.place.as_str()))
            .filter(|(from, to, _)| from != to && parts.contains(to))
            .collect();
        let is_allowed = |from: &str, to: &str| allowed.contains(&format!("{from} -> {to}").as_str());
        let counted: BTreeSet<_> = edges.iter().filter(|(from, to, _)| !is_allowed(from, to)).collect();
        for (from, to, place) in &counted {
            let mut reached = BTreeSet::from([*to]);
            while let Some((_, next, _)) = counted.iter().find(|(from, to, _)| reached.contains(from) && !reached.contains(to)) {
                reached.insert(next);
            }
            if reached.contains(from) {
                let _ = writeln!(
                    wrong,
                    "{place}: in src/{}, `{from}` imports `{to}`, which needs `{from}` itself. Move what both need to a part below them.",
                    folder.join("/")
                );
            }
        }
        for gone in allowed.iter().filter(|known| !edges.iter().any(|(from, to, _)| format!("{from} -> {to}") == **known)) {
            let _ =
                writeln!(wrong, "src/{}: `{gone}` is not imported any more: take it out of FOLDERS in tests/layers.rs.", folder.join("/"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
