//! The tree as a whole: places of characters in every style of scalar, and hostile files.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::config::findings::finding::Finding;
use crate::config::findings::report::Report;

fn tree(file: &str) -> (Option<Arc<Node>>, Vec<Finding>) {
    let mut report = Report::new("f", file);
    let root = parse(&mut report);
    (root, report.finish())
}

fn messages(file: &str) -> Vec<String> {
    tree(file).1.iter().map(ToString::to_string).collect()
}

/// The scalar at `v:` of a file.
fn scalar(file: &str) -> Option<Arc<Node>> {
    let (root, findings) = tree(file);
    assert!(findings.is_empty(), "{file:?}: {findings:?}");
    root?.get("v").cloned()
}

/// The parsed string of `v:`, and for each of its characters the bytes of the file that it came from.
fn places(file: &str) -> Vec<(char, String)> {
    let node = scalar(file).unwrap();
    let Content::Scalar(scalar) = &node.content else { panic!("{file:?}") };
    let place = |(at, c): (usize, char)| file[node.place_in(file, at..at + c.len_utf8())].to_owned();
    scalar.text.char_indices().map(|(at, c)| (c, place((at, c)))).collect()
}

#[test]
fn escapes_and_folds_have_places() {
    let pairs = |file: &str| {
        places(file).into_iter().filter(|(c, place)| c.to_string() != *place).map(|(c, p)| format!("{c}={p}")).collect::<Vec<_>>()
    };
    assert_eq!(
        pairs("v: \"a\\n\\x41\\u00e9\\uD83D\\uDE00\\_b\\\"\"\n"),
        ["\n=\\n", "A=\\x41", "\u{e9}=\\u00e9", "\u{1f600}=\\uD83D\\uDE00", "\u{a0}=\\_", "\"=\\\"",]
    );
    assert_eq!(pairs("v: 'it''s'\n"), ["'=''"]);
    assert_eq!(pairs("v: a  b\n  c\n\n  d\nw: 1\n"), [" =\n"]);
    assert_eq!(pairs("v: \"a \\\n  b\"\n"), Vec::<String>::new());
    assert_eq!(pairs("v: >\n  a\n  b\n\n  c\n   d\n  e\n"), [" =\n"]);
    assert_eq!(pairs("v: |\r\n  a\r\n  b\r\n"), ["\n=\r\n", "\n=\r\n"]);
}

#[test]
fn ranges_beyond_the_end_are_places_too() {
    for file in ["v: abc\n", "v: 'abc'\n", "v: |\n  abc\n", "v: >-\n  abc", "v: \"\"\n", "v:\n"] {
        let node = scalar(file).unwrap();
        for start in 0..6 {
            let place = node.place_in(file, start..start + 9);
            assert!(file.get(place.clone()).is_some(), "{file:?} {start} {place:?}");
        }
    }
}

/// Text of one or several lines, as people write it, and as they do not.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        6 => "[a-z\u{e9}\u{4f60}\u{1f600}]{1,4}",
        1 => Just("${X}".to_owned()),
        1 => Just("{{ a.b }}".to_owned()),
        1 => Just("it's".to_owned()),
        1 => Just("\\".to_owned()),
        1 => Just("\"q\"".to_owned()),
    ];
    let space = prop_oneof![8 => Just(" "), 1 => Just("  "), 2 => Just("\n"), 1 => Just("\n\n"), 1 => Just("\n\n\n"), 1 => Just("\n  "), 1 => Just(" \n"), 1 => Just("\n\t")];
    (prop::sample::select(vec!["", "\n", "\n\n"]), prop::collection::vec((word, space), 1..12))
        .prop_map(|(first, words)| words.into_iter().fold(first.to_owned(), |text, (word, space)| text + &word + space))
}

/// A file whose `v` is written in each style over several lines.
fn files(text: &str, indent: usize) -> Vec<String> {
    let pad = " ".repeat(indent);
    let lines: Vec<String> = text.split('\n').map(|line| if line.is_empty() { String::new() } else { format!("{pad}{line}") }).collect();
    let block = lines.join("\n");
    let joined = |escaped: String| escaped.split('\n').collect::<Vec<_>>().join(&format!("\n{pad}"));
    let mut files = Vec::new();
    for header in ["|", ">", "|-", ">+", "| # note"] {
        files.push(format!("a: 1\nv: {header}\n{block}\nz: 1\n"));
        files.push(format!("a: 1\nv: {header}\n{block}"));
    }
    files.push(format!("v: |{indent}\n{block}\n"));
    files.push(format!("v: '{}'\nz: 1\n", joined(text.replace('\'', "''"))));
    let double = text.replace('\\', "\\\\").replace('"', "\\\"");
    files.push(format!("v: \"{}\"\nz: 1\n", joined(double.clone())));
    files.push(format!("v: \"{}\"\n", joined(double.replace('\n', "\\\n"))));
    files.push(format!("v: {}\nz: 1\n", joined(text.trim_start().to_owned())));
    files.push(format!("v: [1, {}]\nz: 1\n", joined(text.trim_start().to_owned())));
    let windows: Vec<String> = files.iter().map(|file| file.replace('\n', "\r\n")).collect();
    files.extend(windows);
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the style: a character's place is that character in the file, or the escape or line break that it
    /// came from; and places never go backwards.
    #[test]
    fn characters_keep_their_places(text in words(), indent in 1usize..5) {
        for file in files(&text, indent) {
            let (root, findings) = tree(&file);
            let Some(root) = root.filter(|_| findings.is_empty()) else { continue };
            let mut node = Arc::clone(root.get("v").unwrap());
            if let Content::Sequence(items) = &node.content {
                let Some(item) = items.get(1) else { continue };
                node = Arc::clone(item);
            }
            let Content::Scalar(scalar) = &node.content else { continue };
            let end = scalar.text.trim_end_matches('\n').len();
            let mut last = 0;
            for (at, c) in scalar.text.char_indices().take_while(|(at, _)| *at < end) {
                let place = node.place_in(&file, at..at + c.len_utf8());
                let source = file.get(place.clone()).unwrap_or("?");
                let is_break = matches!(source, "\n" | "\r\n") && matches!(c, ' ' | '\n');
                let is_escape = source.starts_with('\\') || source == "''";
                prop_assert!(
                    source == c.to_string() || is_break || is_escape,
                    "{:?} of {:?} came from {:?} at {:?} of {:?}", c, scalar.text, source, place, file
                );
                prop_assert!(place.start >= last, "{:?} goes back to {:?} in {:?}", c, place, file);
                last = place.end;
            }
            // Nothing was left out: between two places only syntax stands.
            prop_assert!(!file[last..].contains("${X}") || scalar.text.trim_end().len() < end, "{:?}", file);
        }
    }

    /// Nothing that is text makes the parser, or the places of what it finds, panic.
    #[test]
    fn any_text_is_survived(file in "[ \\t\\n\\r:\\-?,\\[\\]{}#&*!|>'\"%@`$a-c0\\\\<\u{0}\u{e9}\u{feff}\u{e000}]{0,60}") {
        let (root, findings) = tree(&file);
        prop_assert!(root.is_some() || !findings.is_empty());
        for finding in &findings {
            finding.render(&file, true);
        }
        if let Some(root) = root {
            root.to_json();
            walk(&root, &file);
        }
    }
}

fn walk(node: &Node, file: &str) {
    assert!(file.get(node.span.clone()).is_some(), "{:?} {file:?}", node.span);
    match &node.content {
        Content::Scalar(scalar) => {
            for at in 0..scalar.text.len() + 2 {
                assert!(file.get(node.place_in(file, at..at + 1)).is_some(), "{at} {file:?}");
            }
        }
        Content::Sequence(items) => items.iter().for_each(|item| walk(item, file)),
        Content::Mapping(entries) => entries.iter().for_each(|(_, node)| walk(node, file)),
        Content::Invalid => {}
    }
}

#[test]
fn every_duplicate_key_is_found() {
    assert_eq!(
        messages("a: 1\nb: {c: 1, c: 2, 'c': 3}\na: 2\n"),
        [
            "f:2:11: error: the key `c` stands here a second time",
            "f:2:17: error: the key `c` stands here a second time",
            "f:3:1: error: the key `a` stands here a second time",
        ]
    );
}

#[test]
fn aliases_and_merges_work() {
    let (root, findings) = tree("a: &x {b: 1, c: [2]}\nd: *x\ne:\n  <<: *x\n  b: 3\nf: {<<: [*x, {g: 4}]}\n'<<': 5\n");
    assert_eq!(findings, []);
    let json = serde_json::json!({"a": {"b": 1, "c": [2]}, "d": {"b": 1, "c": [2]}, "e": {"b": 3, "c": [2]},
        "f": {"b": 1, "c": [2], "g": 4}, "<<": 5});
    assert_eq!(root.unwrap().to_json(), json);
    assert_eq!(messages("a: &x [*x]\n"), ["f:1:8: error: an alias inside the value that it names"]);
    assert_eq!(messages("a: *x\nb: *y\n").len(), 2);
    assert_eq!(messages("a: {<<: 1}\n"), ["f:1:9: error: `<<` merges mappings, and this is a number"]);
}

/// Runs on a small stack in little time, whatever comes.
fn survive(file: String) -> Vec<String> {
    let start = Instant::now();
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let (root, findings) = tree(&file);
        if let Some(root) = &root {
            root.to_json();
        }
        findings.iter().map(|finding| finding.render(&file, false)).collect::<Vec<_>>()
    });
    let messages = thread.unwrap().join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    messages
}

#[test]
fn hostile_files_are_refused_in_little_time() {
    let limits = |messages: Vec<String>, part: &str| assert!(messages.iter().any(|m| m.contains(part)), "{messages:?}");
    limits(survive("[".repeat(100_000)), "nested more than");
    limits(survive("{a: ".repeat(100_000)), "nested more than");
    limits(survive("- ".repeat(100_000)), "nested more than");
    limits(survive((0..2000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect()), "nested more than");
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..60 {
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")));
    }
    limits(survive(laughs), "more than 200000 values");
    let mut deep = String::from("a0: &a0 [x]\n");
    for level in 1..1000 {
        deep.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    limits(survive(deep), "nested more than");
    limits(survive(format!("a: [{}]", "1, ".repeat(300_000))), "more than 200000 values");
    limits(survive("a".repeat(5 << 20)), "larger than 4 MiB");
    limits(survive("a\0b: 1".into()), "control character");
    limits(survive("a: ".to_owned() + &"x: ".repeat(300_000)), "cannot stand here");
    limits(survive((0..50_000).map(|_| "a: 1\n").collect()), "a second time");
    let merged = format!("a: &a {{{}}}\nb:\n{}", (0..900).map(|n| format!("k{n}: 1, ")).collect::<String>(), "  - {<<: *a}\n".repeat(900));
    limits(survive(merged), "more than 200000 values");
}

#[test]
fn long_lines_are_read_in_little_time() {
    let long = "x".repeat(1_000_000);
    assert_eq!(survive(format!("a: {long}\n")), Vec::<String>::new());
    assert_eq!(survive(format!("a: '{}'\n", "x ".repeat(500_000))), Vec::<String>::new());
    survive(format!("{long}: {long}: x\n"));
    survive("\"".repeat(1_000_000));
    survive("#".repeat(1_000_000));
    survive("\t\n".repeat(500_000));
    survive("a: |\n".to_owned() + &" \n".repeat(500_000));
    survive("${".repeat(500_000));
    survive("? ".repeat(500_000));
    survive("&a ".repeat(300_000));
    survive("!".repeat(1_000_000));
}
