//! Builds the tree from the parser's events.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde_yaml::granit_parser::{self, Event, Marker, Parser, ScalarStyle};

use super::{Content, Key, Node, Scalar, Style, resolve, syntax};
use crate::config::findings::files::BYTES_MAX;
use crate::config::findings::finding::quoted;
use crate::config::findings::report::Report;

/// Levels of lists and mappings, aliases counted in full. Whatever walks a tree may recurse.
pub(super) const DEPTH_MAX: usize = 64;
/// Nodes of all files, aliases counted in full: a route has 5 to 10, and more where it changes what is sent.
const NODES_MAX: usize = 200_000;
/// Bytes that aliases may add to all files: whatever they name is read again at each.
const ALIASED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// `${NAME}` may stand unquoted between `{ }` and `[ ]`, where YAML gives braces a meaning of their own. So the
/// parser is shown characters of a private use area in place of the syntax within a `${...}`, and what it finds
/// gets the true ones back.
const STAND_INS: [(char, char); 7] =
    [('{', '\u{e000}'), ('}', '\u{e001}'), ('[', '\u{e002}'), (']', '\u{e003}'), (',', '\u{e004}'), (':', '\u{e005}'), ('#', '\u{e006}')];
/// A stand-in is that many bytes longer than what it stands for.
const STAND_IN_BYTES_MORE: usize = 2;

/// What came of a file.
pub(in crate::config) enum Parsed {
    /// Its one document.
    Tree(Arc<Node>),
    /// It holds nothing, or nothing but comments.
    Nothing,
    /// No tree; why has been reported.
    Broken,
}

/// The one document of the first file, with every duplicate key, tag and unknown alias reported; `None` where there is no tree.
pub(in crate::config) fn parse(report: &mut Report<'_>) -> Option<Arc<Node>> {
    match parse_file(report, report.files().into_iter().next()?) {
        Parsed::Tree(root) => Some(root),
        Parsed::Nothing => {
            report.error(0..0, "the file is empty").hint("`wiza-relay init` writes a file to begin with");
            None
        }
        Parsed::Broken => None,
    }
}

/// The same of the file that is this part of the text. The places of its tree are places of the whole text.
pub(in crate::config) fn parse_file(report: &mut Report<'_>, range: Range<usize>) -> Parsed {
    if report.text.len() > BYTES_MAX {
        let what = if report.files().len() > 1 { "the file is, with those that it includes," } else { "the file is" };
        report.error(0..1, format!("{what} larger than {} MiB", BYTES_MAX / 1024 / 1024));
        return Parsed::Broken;
    }
    let (start, file) = (range.start, report.text.get(range).unwrap_or_default());
    let input = Input::new(file, start);
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    options.disallow_directives = true;
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut builder = Builder { report, input: &input, frames: Vec::new(), anchors: HashMap::new(), root: None };
    for event in Parser::new_from_str_with_options(&input.text, options) {
        match event {
            Ok((event, span)) => {
                if builder.event(event, &span).is_err() {
                    return Parsed::Broken;
                }
            }
            Err(error) => {
                let at = input.offset(error.marker()) - start;
                let explanation = syntax::explain(&error, file, at);
                let at = start + explanation.at.unwrap_or(at);
                // Otherwise what this stumbles over was reported already, in better words.
                if !builder.report.has_error_on_line_of(at) {
                    builder.report.error(at..at + 1, explanation.message).hint = explanation.hint;
                }
                return Parsed::Broken;
            }
        }
    }
    builder.root.map_or(Parsed::Nothing, Parsed::Tree)
}

/// What the parser reads in place of the file.
struct Input<'a> {
    text: Cow<'a, str>,
    /// The offsets in `text` of the characters that stand for braces, in order.
    replaced: Vec<usize>,
    /// Where the file begins in the text of all files.
    start: usize,
}

impl<'a> Input<'a> {
    fn new(file: &'a str, start: usize) -> Self {
        let unchanged = Self { text: Cow::Borrowed(file), replaced: Vec::new(), start };
        if STAND_INS.iter().any(|(_, stand_in)| file.contains(*stand_in)) {
            return unchanged;
        }
        let mut text = String::with_capacity(file.len());
        let mut replaced = Vec::new();
        let mut rest = file;
        while let Some((before, after)) = rest.split_once("${") {
            text.push_str(before);
            // Only what looks like a variable is touched, so that everything else means what YAML says.
            let closed = after.find(['{', '}', '\n']).filter(|at| after.get(*at..).is_some_and(|end| end.starts_with('}')));
            match closed.and_then(|at| Some((after.get(..at)?, after.get(at + 1..)?))) {
                Some((inside, behind)) => {
                    text.push('$');
                    for character in ['{'].into_iter().chain(inside.chars()).chain(['}']) {
                        match STAND_INS.iter().find(|(syntax, _)| *syntax == character) {
                            Some((_, stand_in)) => {
                                replaced.push(text.len());
                                text.push(*stand_in);
                            }
                            None => text.push(character),
                        }
                    }
                    rest = behind;
                }
                None => {
                    text.push_str("${");
                    rest = after;
                }
            }
        }
        if replaced.is_empty() {
            return unchanged;
        }
        text.push_str(rest);
        Self { text: Cow::Owned(text), replaced, start }
    }

    /// The byte offset in the text of all files of a place in the parser's text.
    fn offset(&self, marker: &Marker) -> usize {
        let offset = marker.byte_offset().unwrap_or(0);
        let before = self.replaced.partition_point(|at| *at < offset);
        self.start + offset - before * STAND_IN_BYTES_MORE
    }

    fn range(&self, span: &granit_parser::Span) -> Range<usize> {
        let start = self.offset(&span.start);
        start..self.offset(&span.end).max(start)
    }

    fn restore(&self, text: &str) -> String {
        if self.replaced.is_empty() {
            return text.to_owned();
        }
        text.chars().map(|c| STAND_INS.iter().find(|(_, stand_in)| *stand_in == c).map_or(c, |(syntax, _)| *syntax)).collect()
    }
}

/// Everything that had to be said was said, and there is no tree.
struct Stop;

struct Builder<'r, 'a, 'i> {
    report: &'r mut Report<'a>,
    input: &'i Input<'a>,
    /// The lists and mappings that are open, from the outside in.
    frames: Vec<Frame>,
    anchors: HashMap<usize, Arc<Node>>,
    root: Option<Arc<Node>>,
}

struct Frame {
    start: usize,
    anchor: usize,
    tagged: bool,
    open: Open,
}

enum Open {
    Sequence(Vec<Arc<Node>>),
    Mapping {
        entries: Vec<(Key, Arc<Node>)>,
        /// Where each key of this mapping stands in `entries`.
        places: HashMap<String, usize>,
        /// The key whose value comes next. A key that is no scalar leaves nothing to hang a value on.
        key: Option<Option<Key>>,
        merges: Vec<Arc<Node>>,
        invalid: bool,
    },
}

impl Builder<'_, '_, '_> {
    fn event(&mut self, event: Event<'_>, span: &granit_parser::Span) -> Result<(), Stop> {
        let range = self.input.range(span);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.report.error(range, "a second document begins here").hint("routes.yaml is one document: remove this `---`");
                return Err(Stop);
            }
            Event::Scalar(text, style, anchor, tag) => {
                if tag.is_some() {
                    self.tag(span);
                    return self.complete(range, Content::Invalid, anchor);
                }
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::SingleQuoted,
                    ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
                    ScalarStyle::Literal => Style::Literal,
                    ScalarStyle::Folded => Style::Folded,
                };
                // The parser gives `~` for a value that is not there.
                let text = if range.is_empty() && style == Style::Plain { String::new() } else { self.input.restore(&text) };
                let kind = resolve::kind(&text, style);
                let indent = span.indent.unwrap_or(0);
                self.complete(range, Content::Scalar(Scalar { text, style, kind, indent }), anchor)?;
            }
            Event::SequenceStart(_, anchor, tag) => self.open(span, anchor, tag.is_some(), Open::Sequence(Vec::new())),
            Event::MappingStart(_, anchor, tag) => {
                let open = Open::Mapping { entries: Vec::new(), places: HashMap::new(), key: None, merges: Vec::new(), invalid: false };
                self.open(span, anchor, tag.is_some(), open);
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(range.end)?,
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.add(node, &range)?,
                None => {
                    self.report.error(range.clone(), "an alias inside the value that it names");
                    self.complete(range, Content::Invalid, 0)?;
                }
            },
            Event::UnresolvedAlias(name) => {
                self.report
                    .error(range.clone(), format!("no anchor `&{name}` stands before this alias"))
                    .hint("put a value that begins with `*` in quotes");
                self.complete(range, Content::Invalid, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn tag(&mut self, span: &granit_parser::Span) {
        let range = span.tag_span().map_or_else(|| self.input.range(span), |tag| self.input.range(&tag));
        let written = self.report.text.get(range.clone()).unwrap_or("!").to_owned();
        let (message, hint) = syntax::tag(self.pending_key().unwrap_or_default(), &written);
        self.report.error(range, message).hint(hint);
    }

    fn pending_key(&self) -> Option<&str> {
        match &self.frames.last()?.open {
            Open::Mapping { key: Some(Some(key)), .. } => Some(&key.text),
            _ => None,
        }
    }

    fn open(&mut self, span: &granit_parser::Span, anchor: usize, tagged: bool, open: Open) {
        if tagged {
            self.tag(span);
        }
        self.frames.push(Frame { start: self.input.offset(&span.start), anchor, tagged, open });
    }

    fn close(&mut self, end: usize) -> Result<(), Stop> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        // A block ends where the next token begins; its own text ends before the blanks.
        let text = self.report.text.get(frame.start..end).unwrap_or_default();
        let span = frame.start..frame.start + text.trim_end().len();
        let content = match frame.open {
            Open::Sequence(items) => Content::Sequence(items),
            Open::Mapping { invalid: true, .. } => Content::Invalid,
            Open::Mapping { entries, places, merges, .. } => Content::Mapping(self.merge(entries, places, &merges)),
        };
        let content = if frame.tagged { Content::Invalid } else { content };
        self.complete(span, content, frame.anchor)
    }

    /// `<<: *anchor` adds the entries of another mapping whose keys are not there yet.
    fn merge(
        &mut self,
        mut entries: Vec<(Key, Arc<Node>)>,
        mut places: HashMap<String, usize>,
        merges: &[Arc<Node>],
    ) -> Vec<(Key, Arc<Node>)> {
        let sources = merges.iter().flat_map(|merge| match &merge.content {
            Content::Sequence(items) => items.as_slice(),
            _ => std::slice::from_ref(merge),
        });
        for source in sources {
            match &source.content {
                Content::Mapping(others) => {
                    for (key, node) in others {
                        if !places.contains_key(&key.text) {
                            places.insert(key.text.clone(), entries.len());
                            entries.push((key.clone(), Arc::clone(node)));
                        }
                    }
                }
                Content::Invalid => {}
                _ => {
                    self.report
                        .error(source.span.clone(), format!("`<<` merges mappings, and this is {}", source.noun()))
                        .hint("`<<: *anchor`, where the anchor names a mapping");
                }
            }
        }
        entries
    }

    /// Wraps finished content into a node, and hands it to whatever is open.
    fn complete(&mut self, span: Range<usize>, content: Content, anchor: usize) -> Result<(), Stop> {
        let node = Arc::new(Node::new(span.clone(), content));
        if anchor > 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        self.add(node, &span)
    }

    /// Hands a node to whatever is open. `place` is where it stands, which for an alias is not where it was written.
    fn add(&mut self, node: Arc<Node>, place: &Range<usize>) -> Result<(), Stop> {
        // Children were counted when they came, so a list or mapping adds itself alone. What an alias or a merge
        // brings along comes in one piece.
        let is_alias = node.span != *place;
        self.report.nodes = self.report.nodes.saturating_add(if is_alias { node.weight } else { 1 });
        self.report.aliased_bytes = self.report.aliased_bytes.saturating_add(if is_alias { node.bytes } else { 0 });
        if self.report.nodes > NODES_MAX || node.weight > NODES_MAX {
            self.report.error(place.clone(), format!("more than {NODES_MAX} values, aliases counted in full"));
            return Err(Stop);
        }
        if self.report.aliased_bytes > ALIASED_BYTES_MAX || node.bytes > ALIASED_BYTES_MAX {
            let limit = ALIASED_BYTES_MAX / 1024 / 1024;
            self.report.error(place.clone(), format!("more than {limit} MiB of text, aliases counted in full"));
            return Err(Stop);
        }
        if self.frames.len() + node.depth > DEPTH_MAX + 1 {
            self.report.error(place.clone(), format!("nested more than {DEPTH_MAX} levels deep, aliases counted in full"));
            return Err(Stop);
        }
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.open {
            Open::Sequence(items) => items.push(node),
            Open::Mapping { key: key @ None, invalid, .. } => match &node.content {
                Content::Scalar(scalar) => {
                    *key = Some(Some(Key { text: scalar.text.clone(), span: place.clone() }));
                }
                Content::Invalid => *key = Some(None),
                Content::Sequence(_) | Content::Mapping(_) => {
                    *key = Some(None);
                    *invalid = true;
                    let outer = frame.start;
                    let is_template = self.report.text.get(outer..).is_some_and(|text| text.starts_with("{{"));
                    if is_template {
                        self.report
                            .error(outer..place.end + 1, "a template that begins with `{{` needs quotes: YAML reads `{` as a mapping")
                            .hint("write \"{{ ... }}\"");
                    } else {
                        self.report.error(place.clone(), format!("a key must be a string, and this is {}", node.noun()));
                    }
                }
            },
            Open::Mapping { entries, places, key, merges, .. } => {
                let Some(Some(key)) = key.take() else { return Ok(()) };
                let is_merge = key.text == "<<" && self.report.text.get(key.span.clone()) == Some("<<");
                if is_merge {
                    merges.push(node);
                } else if let Some((first, _)) = places.get(&key.text).and_then(|place| entries.get(*place)) {
                    let line = self.report.line_of(first.span.start);
                    self.report
                        .error(key.span, format!("the key {} stands here a second time", quoted(&key.text)))
                        .hint(format!("the first is on line {line}; keep one of them"));
                } else {
                    places.insert(key.text.clone(), entries.len());
                    entries.push((key, node));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn stand_ins_keep_offsets() {
        let file = "a: {b: ${B}, c: x${C:-d, [#]}}\n# ${\nd: ${{ x }}\n";
        let input = Input::new(file, 0);
        assert_eq!(input.restore(&input.text), file);
        assert_eq!(input.replaced.len(), 9);
        for needle in ["c:", "}\n", "# ", "{{ x"] {
            let shown = input.text.find(needle).unwrap();
            let marker = Marker::new(0, 1, 0).with_byte_offset(Some(shown));
            assert_eq!(input.offset(&marker), file.find(needle).unwrap(), "{needle}");
        }
    }

    #[test]
    fn kinds_of_absent_values() {
        let mut report = Report::new("f", "a:\nb: ~\nc: \"\"\n");
        let root = parse(&mut report).unwrap();
        let kinds: Vec<_> = ["a", "b", "c"]
            .map(|key| match &root.get(key).unwrap().content {
                Content::Scalar(scalar) => scalar.kind,
                _ => unreachable!(),
            })
            .to_vec();
        assert_eq!(kinds, [Kind::Null, Kind::Null, Kind::String]);
    }
}
