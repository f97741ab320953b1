//! The forms that a mapping of a body can have: `$each` with `$do`, a list made of another; `$value`, a template whose value keeps
//! its type; `$present`, what is left out where nothing is there to send. A mapping without one of these keys is an object.

use std::sync::Arc;

use crate::condition::{Step, UsedPath};
use crate::transform::{Each, Escape, ReadPath, Scope, Selection, Tree};

use super::present;
use super::shape::decode_tree;
use crate::config::findings::finding::quoted;
use crate::config::reading::decode::Decoder;
use crate::config::yaml::{Content, Key, Kind, Node};

/// The keys of the forms.
pub(in crate::config) const EACH: &str = "$each";
pub(in crate::config) const DO: &str = "$do";
pub(in crate::config) const VALUE: &str = "$value";
pub(in crate::config) const PRESENT: &str = "$present";

const KEYS: [&str; 4] = [EACH, DO, VALUE, PRESENT];

/// What templates inside of `$each` call its element.
const ITEM: &str = "item";

const EXAMPLE: &str = "for example `{ $each: $.data.phones, $do: { number: \"@.number\" } }`";

type Entries = [(Key, Arc<Node>)];

/// Whether a mapping is one of the forms, be it a sound one or not.
pub(in crate::config) fn is_form(entries: &Entries) -> bool {
    entries.iter().any(|(key, _)| KEYS.contains(&key.text.as_str()))
}

/// The node that a tree below `$present` was read from: a value of its mapping or list, or what stands behind it.
pub(in crate::config) fn within_present(node: &Node) -> &Node {
    node.get(PRESENT).map_or(node, |node| node)
}

/// The key as it is sent: `$$each` stands for `$each`, and so for the other keys of forms.
pub(in crate::config) fn key_text(key: &Key) -> String {
    let escaped = key.text.strip_prefix('$').filter(|rest| KEYS.contains(rest));
    escaped.unwrap_or(&key.text).to_owned()
}

pub(in crate::config) fn decode(decoder: &mut Decoder<'_>, entries: &Entries) -> Option<Tree> {
    let find = |name: &str| entries.iter().find(|(key, _)| key.text == name);
    let (form, own): (_, &[&str]) = match (find(EACH).or_else(|| find(DO)), find(PRESENT), find(VALUE)) {
        (Some(each), ..) => (each, &[EACH, DO]),
        (None, Some(present), _) => (present, &[PRESENT]),
        (None, None, Some(value)) => (value, &[VALUE]),
        (None, None, None) => return None,
    };
    let mut sound = true;
    for (key, _) in entries.iter().filter(|(key, _)| !own.contains(&key.text.as_str())) {
        let form = &form.0.text;
        let whole = format!("`{form}` makes the whole value; where a key of that name is to be sent, write `${form}`");
        let hint = if form != PRESENT {
            whole
        } else if KEYS.contains(&key.text.as_str()) {
            format!("put one inside of the other: `{{ $present: {{ {}: ... }} }}`", key.text)
        } else {
            format!("put it into the mapping of `$present`, `{{ $present: {{ {}: ... }} }}`, or around it", key.text)
        };
        decoder.report.error(key.span.clone(), format!("the key {} cannot stand beside `{form}`", quoted(&key.text))).hint(hint);
        sound = false;
    }
    let tree = match own {
        [VALUE] => value(decoder, &form.1),
        [PRESENT] => present::decode(decoder, &form.1),
        _ => match (find(EACH), find(DO)) {
            (Some((_, list)), Some((_, element))) => each(decoder, list, element),
            (Some((key, _)), None) => {
                decoder
                    .report
                    .error(key.span.clone(), "`$each` needs `$do`: what each element becomes")
                    .hint(format!("{EXAMPLE}; a key that is to be sent as `$each` is written `$$each`"));
                None
            }
            (None, _) => {
                decoder
                    .report
                    .error(form.0.span.clone(), "`$do` needs `$each`: the elements that it is done for")
                    .hint(format!("{EXAMPLE}; a key that is to be sent as `$do` is written `$$do`"));
                None
            }
        },
    };
    tree.filter(|_| sound)
}

fn each(decoder: &mut Decoder<'_>, list: &Arc<Node>, element: &Arc<Node>) -> Option<Tree> {
    let found = elements(decoder, list);
    let steps = found.as_ref().and_then(|list| decoder.steps_to_elements(list));
    let outer = std::mem::replace(&mut decoder.element, steps);
    let scope = Scope { in_each: true, ..decoder.scope };
    let element = decoder.within(scope, |decoder| decode_tree(decoder, element));
    decoder.element = outer;
    Some(Tree::Each(Box::new(Each { list: found?, element: element? })))
}

/// The path behind `$each`.
fn elements(decoder: &mut Decoder<'_>, node: &Arc<Node>) -> Option<Selection> {
    let is_path = |text: &str| Selection::is_written_in(text) || Selection::is_of_element(text);
    match &node.content {
        Content::Invalid => None,
        Content::Scalar(scalar) if scalar.kind == Kind::String && is_path(&scalar.text) => {
            let text = decoder.interpolated(node, &scalar.text)?;
            decoder.selection_from(node, &text)
        }
        Content::Scalar(scalar) if scalar.kind == Kind::String && !scalar.text.contains("{{") => {
            // Says what is missing: the `$` before it.
            let text = decoder.interpolated(node, &scalar.text)?;
            decoder.selection_from(node, &text)
        }
        _ => {
            decoder.report.error(node.span.clone(), format!("`$each` is a path, and this is {}", node.noun())).hint(EXAMPLE);
            None
        }
    }
}

fn value(decoder: &mut Decoder<'_>, node: &Arc<Node>) -> Option<Tree> {
    match &node.content {
        Content::Invalid => None,
        Content::Scalar(scalar) if scalar.kind == Kind::String && Selection::is_written_in(&scalar.text) => {
            decoder
                .report
                .error(node.span.clone(), "`$value` is for templates, and this is a path")
                .hint(format!("a path keeps its type by itself: write `{}` without `$value`", scalar.text));
            None
        }
        Content::Scalar(scalar) if scalar.kind == Kind::String => {
            let text = decoder.interpolated(node, &scalar.text)?;
            decoder.template(node, &text, Escape::Typed).map(Tree::Value)
        }
        _ => {
            decoder
                .report
                .error(node.span.clone(), format!("`$value` is a template, and this is {}", node.noun()))
                .hint("what is no template keeps its type by itself: write it without `$value`");
            None
        }
    }
}

impl Decoder<'_> {
    /// The paths of the payload among those that a template reads: `item` of `$each` is an element of it.
    pub(in crate::config) fn of_payload(&self, reads: &[ReadPath]) -> Vec<ReadPath> {
        if self.scope.of_batch {
            return Vec::new();
        }
        let resolved = reads.iter().filter_map(|read| match read.path.steps.split_first() {
            Some((Step::Name(name), rest)) if self.scope.in_each && !read.is_explicit && name == ITEM => {
                let steps = self.element.as_ref()?.iter().chain(rest).cloned().collect();
                Some(ReadPath { path: UsedPath { steps, ..read.path.clone() }, ..read.clone() })
            }
            _ => Some(read.clone()),
        });
        resolved.collect()
    }

    /// The steps from the root to the elements that a path finds, as far as they can be told.
    pub(in crate::config) fn steps_to_elements(&self, list: &Selection) -> Option<Vec<Step>> {
        steps_to_elements(list, self.element.as_deref())
    }
}

/// The steps from the root to what a path finds, as far as they can be told; `element` are those to what `@` stands for.
pub(in crate::config) fn steps_of(path: &Selection, element: Option<&[Step]>) -> Option<Vec<Step>> {
    let written = path.to_string();
    // Neither where `..` nor where several names lead can be told.
    if written.contains("..") || written.contains(',') {
        return None;
    }
    Some(path.paths_from(element).into_iter().next()?.steps)
}

/// The steps to each of the elements that a path finds: of one list, or what many values are.
pub(in crate::config) fn steps_to_elements(list: &Selection, element: Option<&[Step]>) -> Option<Vec<Step>> {
    let mut steps = steps_of(list, element)?;
    if list.is_singular() {
        steps.push(Step::Element);
    }
    Some(steps)
}
