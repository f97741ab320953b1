//! `$present` in bodies: what is left out where nothing is there to send.

use crate::transform::{Selection, Tree, says_nothing};

use super::forms::{self, PRESENT};
use super::shape::{decode_map, decode_tree};
use crate::config::reading::decode::Decoder;
use crate::config::yaml::{Content, Node};

/// Reads what stands behind `$present`: one value, or a mapping or a list whose values are each left out.
pub(super) fn decode(decoder: &mut Decoder<'_>, node: &Node) -> Option<Tree> {
    let tree = match &node.content {
        Content::Mapping(entries) if node.get(PRESENT).is_some() && forms::is_form(entries) => {
            decoder.report.error(node.span.clone(), "`$present` stands inside of `$present`").hint("write it once");
            return None;
        }
        Content::Mapping(entries) if !forms::is_form(entries) => decode_map(decoder, entries, part)?,
        Content::Sequence(items) => {
            let items: Vec<_> = items.iter().map(|item| part(decoder, item)).collect();
            Tree::List(items.into_iter().collect::<Option<_>>()?)
        }
        _ => one(decoder, node)?,
    };
    if !matters(&tree) {
        decoder
            .report
            .warning(node.span.clone(), "`$present` changes nothing: all of this is always there")
            .hint("write it without `$present`; what can be missing is a path, a template or `$each`");
    }
    Some(Tree::Present(Box::new(tree)))
}

/// A value of a mapping or list behind `$present`.
fn part(decoder: &mut Decoder<'_>, node: &Node) -> Option<Tree> {
    Some(match one(decoder, node)? {
        present @ Tree::Present(_) => present,
        tree => Tree::Present(Box::new(tree)),
    })
}

fn one(decoder: &mut Decoder<'_>, node: &Node) -> Option<Tree> {
    let before = decoder.doubts.len();
    let tree = decode_tree(decoder, node)?;
    match &tree {
        // What they need may be missing: then they are left out, and no dead letter.
        Tree::Template(_) | Tree::Value(_) => decoder.doubts.truncate(before),
        tree if is_nothing(tree) => {
            decoder
                .report
                .warning(node.span.clone(), "this is never sent: `$present` leaves out what is null or empty")
                .hint("take it out, or write it outside of `$present` if the receiver is to get it");
        }
        _ => {}
    }
    Some(tree)
}

/// Whether the file itself says nothing there.
fn is_nothing(tree: &Tree) -> bool {
    match tree {
        Tree::Literal(value) => says_nothing(value),
        Tree::Map(entries) => entries.is_empty(),
        Tree::List(items) => items.is_empty(),
        _ => false,
    }
}

/// Whether `$present` around it can leave out something of it.
fn matters(tree: &Tree) -> bool {
    match tree {
        Tree::Present(tree) => matters(tree),
        tree if is_nothing(tree) => true,
        Tree::Map(entries) => entries.iter().any(|(_, tree)| matters(tree)),
        Tree::List(items) => items.iter().any(matters),
        Tree::Literal(_) => false,
        Tree::Template(template) | Tree::Value(template) => !template.reads().is_empty(),
        Tree::Select(selection) => may_find_nothing(selection),
        Tree::Each(_) => true,
    }
}

/// Whether some event may lack what a path finds. There are two that every event has.
fn may_find_nothing(selection: &Selection) -> bool {
    !["$", "$.type"].contains(&selection.to_string().as_str())
}
