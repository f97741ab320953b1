//! Turns a text of routes.yaml into the source of a minijinja template, in which every `${...}` has become the name of
//! a reserved global: its value is never parsed, and never stands in a source that an error could quote.
//!
//! What would take a null or a boolean for something else is changed on the way (see `strict`).

use std::ops::Range;

use crate::text::{Part, Text};

use super::methods;
use super::origin::Origin;
use super::vocabulary::Mention;
use crate::transform::errors::TemplateError;
use crate::transform::expression;
use crate::transform::expression::lexer::{self, Kind, Tag, Token, TooLarge};
use crate::transform::filters::{self, Trial};
use crate::transform::foresight::asks::Asks;
use crate::transform::foresight::hazards::Hazards;
use crate::transform::foresight::prints::Prints;
use crate::transform::foresight::reads::Read;
use crate::transform::marks::RESERVED_PREFIX;
use crate::transform::names::scope::Scope;
use crate::transform::semantics::strict;

/// The most tags that a template may have: minijinja's parser recurses along a chain of `{% elif %}`, without a limit.
pub const TAGS_MAX: usize = 500;

/// Tags that Jinja has and the relay has not, and why.
const REFUSED_TAGS: [(&str, &str); 5] = [
    ("include", "a template stands alone: it cannot use another"),
    ("import", "a template stands alone: it cannot use another"),
    ("from", "a template stands alone: it cannot use another"),
    ("extends", "a template stands alone: it cannot use another"),
    ("autoescape", "values are percent-encoded in a URL and nowhere else; `| safe` opts out of it for one value"),
];

/// The source of a minijinja template, and where its pieces came from.
pub(in crate::transform) struct Source {
    pub(in crate::transform) text: String,
    pub(in crate::transform) origin: Origin,
    /// The values of `${...}`, in the order of the globals that stand for them.
    pub(in crate::transform) values: Vec<String>,
    /// The names of filters, tests and functions that were written.
    pub(in crate::transform) mentions: Vec<Mention>,
    /// The names that the template itself gives to values and macros.
    pub(in crate::transform) bound: Vec<String>,
    /// The paths that its tags read.
    pub(in crate::transform) reads: Vec<Read>,
    /// The `{{ }}` outside of all blocks that read nothing of an event.
    pub(in crate::transform) constants: Vec<Constant>,
    /// The values that are printed without a way out for when they are null.
    pub(in crate::transform) hazards: Hazards,
    /// What it asks of the payload by names and values in texts.
    pub(in crate::transform) asks: Asks,
    /// The place of the first tag that could not be read, and so is not in its strict form. minijinja will say why.
    pub(in crate::transform) unreadable: Option<usize>,
    /// What its tags print.
    pub(in crate::transform) prints: Prints,
    /// The text before the first tag or comment, values included.
    pub(in crate::transform) head: String,
    /// Where that first tag or comment begins, in the scalar.
    pub(in crate::transform) head_end: usize,
}

/// A `{{ }}` that comes out the same for every event.
pub(in crate::transform) struct Constant {
    /// Where it begins in the scalar.
    pub(in crate::transform) offset: usize,
    /// What was written between its braces.
    pub(in crate::transform) written: String,
    /// Its source.
    pub(in crate::transform) source: String,
}

/// Whether a text has a tag or a comment in what was written, and so must be compiled.
pub(in crate::transform) fn has_tags(text: &Text) -> bool {
    stretches(text).iter().any(|stretch| match stretch {
        Stretch::Written(pieces) => next_marker(&pieces.text, 0).is_some(),
        Stretch::Value { .. } => false,
    })
}

/// Reads a text that has tags. The globals of its values are numbered from `first_value`.
/// `is_typed`: what is printed keeps its type.
pub(in crate::transform) fn read(text: &Text, first_value: usize, is_typed: bool, scope: Scope) -> Result<Source, TemplateError> {
    let mut reader = Reader::new(first_value, is_typed, scope);
    for stretch in stretches(text) {
        match stretch {
            Stretch::Written(pieces) => reader.written(&pieces)?,
            Stretch::Value { name, value } => reader.value(&name, value)?,
        }
    }
    Ok(reader.source)
}

/// Written parts that follow each other are one stretch: an escaped `$${` divides them, and may stand inside a tag.
enum Stretch<'t> {
    Written(Pieces),
    Value { name: String, value: &'t str },
}

#[derive(Default)]
struct Pieces {
    text: String,
    /// Where each piece begins in `text`, and in the scalar.
    starts: Vec<(usize, usize)>,
}

impl Pieces {
    fn scalar_offset(&self, at: usize) -> usize {
        let count = self.starts.partition_point(|(start, _)| *start <= at);
        let start = count.checked_sub(1).and_then(|index| self.starts.get(index));
        start.map_or(0, |(start, scalar)| scalar + (at - start))
    }

    /// A range of the text piece by piece, so that each place can be found again.
    fn within(&self, range: Range<usize>) -> Vec<(usize, &str)> {
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let next = self.starts.get(self.starts.partition_point(|(start, _)| *start <= at));
            let stop = next.map_or(range.end, |(start, _)| *start).min(range.end);
            let Some(piece) = self.text.get(at..stop) else { break };
            found.push((at, piece));
            at = stop;
        }
        found
    }
}

fn stretches(text: &Text) -> Vec<Stretch<'_>> {
    let mut stretches = Vec::new();
    for part in &text.parts {
        match part {
            Part::Written { text, offset } => {
                if !matches!(stretches.last(), Some(Stretch::Written(_))) {
                    stretches.push(Stretch::Written(Pieces::default()));
                }
                if let Some(Stretch::Written(pieces)) = stretches.last_mut() {
                    pieces.starts.push((pieces.text.len(), *offset));
                    pieces.text.push_str(text);
                }
            }
            Part::Value(secret) => {
                stretches.push(Stretch::Value { name: secret.name.clone(), value: secret.expose() });
            }
        }
    }
    stretches
}

/// Where the next tag or comment begins, and the second character of its marker.
fn next_marker(text: &str, from: usize) -> Option<(usize, u8)> {
    let bytes = text.as_bytes();
    bytes.windows(2).enumerate().skip(from).find_map(|(at, pair)| match pair {
        [b'{', kind @ (b'{' | b'%' | b'#')] => Some((at, *kind)),
        _ => None,
    })
}

/// Where the reader is between two stretches.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Outside,
    Comment,
    Raw,
    /// In a tag that its stretch did not close; the marker that opened it, and where in the scalar.
    Tag {
        opening: &'static str,
        offset: usize,
    },
}

struct Reader {
    source: Source,
    state: State,
    first_value: usize,
    is_typed: bool,
    in_head: bool,
    tags: usize,
    /// Blocks that are open.
    blocks: usize,
}

impl Reader {
    fn new(first_value: usize, is_typed: bool, scope: Scope) -> Self {
        let source = Source {
            text: String::new(),
            origin: Origin::default(),
            values: Vec::new(),
            mentions: Vec::new(),
            bound: Vec::new(),
            reads: Vec::new(),
            constants: Vec::new(),
            hazards: Hazards::new(is_typed, scope),
            asks: Asks::default(),
            unreadable: None,
            prints: Prints::default(),
            head: String::new(),
            head_end: 0,
        };
        Self { source, state: State::Outside, first_value, is_typed, in_head: true, tags: 0, blocks: 0 }
    }

    fn written(&mut self, pieces: &Pieces) -> Result<(), TemplateError> {
        let text = pieces.text.as_str();
        let mut at = 0;
        while at < text.len() {
            at = match self.state {
                State::Outside => self.outside(pieces, at)?,
                State::Comment => self.pass(pieces, at, end_of_comment(text, at), State::Outside),
                State::Raw => self.pass(pieces, at, end_of_raw(text, at), State::Outside),
                // Only a value can follow a tag that is still open, and it is refused.
                State::Tag { .. } => self.pass(pieces, at, None, self.state),
            };
        }
        Ok(())
    }

    /// Copies up to `end`, where `then` begins; without an end, all that is left.
    fn pass(&mut self, pieces: &Pieces, at: usize, end: Option<usize>, then: State) -> usize {
        let stop = end.unwrap_or(pieces.text.len());
        self.copy(pieces, at..stop);
        if end.is_some() {
            self.state = then;
        }
        stop
    }

    /// Copies text up to the next tag or comment, and that tag; returns where to go on.
    fn outside(&mut self, pieces: &Pieces, at: usize) -> Result<usize, TemplateError> {
        let text = pieces.text.as_str();
        let marker = next_marker(text, at);
        let stop = marker.map_or(text.len(), |(start, _)| start);
        if self.in_head {
            self.source.head.push_str(text.get(at..stop).unwrap_or_default());
        }
        self.copy(pieces, at..stop);
        let Some((start, kind)) = marker else { return Ok(stop) };
        if self.in_head {
            self.in_head = false;
            self.source.head_end = pieces.scalar_offset(start);
        }
        let (opening, closing) = match kind {
            b'{' => ("{{", "}}"),
            b'%' => ("{%", "%}"),
            _ => {
                self.copy(pieces, start..start + 2);
                self.state = State::Comment;
                return Ok(start + 2);
            }
        };
        let inside = start + 2;
        let inside = if text.get(inside..).is_some_and(|rest| rest.starts_with(['-', '+'])) { inside + 1 } else { inside };
        self.tags += 1;
        if self.tags > TAGS_MAX {
            return Err(TemplateError::new(pieces.scalar_offset(start), format!("a template with more than {TAGS_MAX} tags")));
        }
        let too_large = |error: TooLarge| TemplateError::new(pieces.scalar_offset(error.at), error.message);
        let Some(tag) = lexer::read_tag(text, inside, closing).map_err(too_large)? else {
            self.copy(pieces, start..text.len());
            self.state = State::Tag { opening, offset: pieces.scalar_offset(start) };
            return Ok(text.len());
        };
        let reads_before = self.source.reads.len();
        self.note(pieces, &tag, kind == b'%')?;
        let source_before = self.source.text.len();
        self.copy_tag(pieces, start, &tag, kind == b'%')?;
        let reads = self.source.reads.get(reads_before..).unwrap_or_default();
        if kind == b'{' && self.blocks == 0 && reads.iter().all(Read::is_never_there) {
            self.source.constants.push(Constant {
                offset: pieces.scalar_offset(start),
                written: text.get(inside..tag.end - 2).unwrap_or_default().trim_matches(['-', '+']).trim().to_owned(),
                source: self.source.text.get(source_before..).unwrap_or_default().to_owned(),
            });
        }
        self.source.prints.read(&tag.tokens, kind == b'%', |at| pieces.scalar_offset(at));
        for Trial { start, written, expression } in filters::trials(&tag.tokens, text) {
            let offset = pieces.scalar_offset(start);
            self.source.constants.push(Constant { offset, written: written.to_owned(), source: expression });
        }
        if kind == b'%' && matches!(tag.tokens.as_slice(), [only] if only.is(Kind::Name, "raw")) {
            self.state = State::Raw;
        }
        Ok(tag.end)
    }

    /// Notes the names that a tag mentions and binds, and refuses what may not be named.
    fn note(&mut self, pieces: &Pieces, tag: &Tag<'_>, is_block: bool) -> Result<(), TemplateError> {
        for token in tag.tokens.iter().filter(|token| token.kind == Kind::Name) {
            if token.text.starts_with(RESERVED_PREFIX) {
                return Err(TemplateError::new(
                    pieces.scalar_offset(token.start),
                    format!("names that begin with `{RESERVED_PREFIX}` are the relay's own"),
                ));
            }
        }
        if let Some((token, hint)) = tag
            .tokens
            .first()
            .filter(|_| is_block)
            .and_then(|token| REFUSED_TAGS.iter().find(|(name, _)| token.is(Kind::Name, name)).map(|(_, hint)| (token, hint)))
        {
            let message = format!("`{{% {} %}}` cannot be used here", token.text);
            return Err(TemplateError::new(pieces.scalar_offset(token.start), message).hint(*hint));
        }
        Mention::find(&tag.tokens, is_block, |at| pieces.scalar_offset(at), &mut self.source.mentions);
        Read::find(&tag.tokens, is_block, |at| pieces.scalar_offset(at), &mut self.source.reads);
        if is_block {
            self.source.bound.extend(bound_names(&tag.tokens));
            match tag.tokens.first().map_or("", |first| first.text) {
                "if" | "for" | "macro" | "call" | "filter" | "with" => self.blocks += 1,
                "set" if !tag.tokens.iter().any(|token| token.is(Kind::Symbol, "=")) => self.blocks += 1,
                first if first.starts_with("end") => self.blocks = self.blocks.saturating_sub(1),
                _ => {}
            }
        }
        Ok(())
    }

    /// Copies a tag in its strict form.
    fn copy_tag(&mut self, pieces: &Pieces, start: usize, tag: &Tag<'_>, is_block: bool) -> Result<(), TemplateError> {
        let edits = match expression::read(&tag.tokens, is_block) {
            Ok(statement) => {
                methods::check(&statement, &pieces.text, &|at| pieces.scalar_offset(at))?;
                self.source.hazards.read(&statement, &|at| pieces.scalar_offset(at));
                self.source.asks.read(&statement, &|at| pieces.scalar_offset(at));
                strict::edits(&statement, self.is_typed)
            }
            Err(unreadable) => {
                self.source.unreadable.get_or_insert(pieces.scalar_offset(unreadable.0));
                Vec::new()
            }
        };
        let mut at = start;
        for (place, text) in edits {
            self.copy(pieces, at..place.start);
            self.note_written(pieces, place.clone());
            self.source.text.push_str(&text);
            at = place.end;
        }
        self.copy(pieces, at..tag.end);
        Ok(())
    }

    fn value(&mut self, name: &str, value: &str) -> Result<(), TemplateError> {
        if let State::Tag { opening, offset } = self.state {
            let closing = if opening == "{{" { "}}" } else { "%}" };
            return Err(TemplateError::new(offset, format!("`${{{name}}}` stands inside `{opening} {closing}`")).hint(format!(
                "put it outside of the braces: `${{{name}}}{{{{ ... }}}}`; a value from outside is never read as template"
            )));
        }
        let placeholder = format!("{{{{ {RESERVED_PREFIX}value_{} }}}}", self.first_value + self.source.values.len());
        let source = &mut self.source.text;
        match self.state {
            State::Comment => source.push(' '),
            State::Raw => {
                source.push_str("{% endraw %}");
                source.push_str(&placeholder);
                source.push_str("{% raw %}");
                self.source.values.push(value.to_owned());
            }
            State::Outside | State::Tag { .. } => {
                // A brace right before the placeholder would be taken for a part of its marker.
                if source.ends_with('{') {
                    source.pop();
                    source.push_str("{% raw %}{{% endraw %}");
                }
                source.push_str(&placeholder);
                self.source.values.push(value.to_owned());
                if self.in_head {
                    self.source.head.push_str(value);
                }
            }
        }
        self.source.origin.add_value(name);
        Ok(())
    }

    /// Copies written text into the source.
    fn copy(&mut self, pieces: &Pieces, range: Range<usize>) {
        for (at, piece) in pieces.within(range) {
            let Source { text, origin, .. } = &mut self.source;
            origin.add_written(piece, text.len(), pieces.scalar_offset(at));
            text.push_str(piece);
        }
    }

    /// Notes written text that something else stands for in the source.
    fn note_written(&mut self, pieces: &Pieces, range: Range<usize>) {
        for (at, piece) in pieces.within(range) {
            let Source { text, origin, .. } = &mut self.source;
            origin.add_written(piece, text.len(), pieces.scalar_offset(at));
        }
    }
}

/// The names that a block tag gives to values and macros, and some more: of a macro all that its tag mentions.
fn bound_names<'t>(tokens: &'t [Token<'t>]) -> impl Iterator<Item = String> + 't {
    let end = match tokens.first().map_or("", |first| first.text) {
        // `{% set x = 1 %}`, or `{% set x %}` and `{% set x | upper %}` around a text.
        "set" => Some(tokens.iter().position(|token| token.is(Kind::Symbol, "=") || token.is(Kind::Symbol, "|")).unwrap_or(tokens.len())),
        "with" => tokens.iter().rposition(|token| token.is(Kind::Symbol, "=")),
        "for" => tokens.iter().position(|token| token.is(Kind::Name, "in")),
        "call" => tokens.iter().position(|token| token.is(Kind::Symbol, ")")),
        "macro" => Some(tokens.len()),
        _ => None,
    };
    let names = tokens.iter().take(end.unwrap_or(0)).filter(|token| token.kind == Kind::Name);
    names.map(|token| token.text.to_owned())
}

/// Behind the `#}` that closes a comment.
fn end_of_comment(text: &str, from: usize) -> Option<usize> {
    text.get(from..)?.find("#}").map(|at| from + at + 2)
}

/// Behind the `{% endraw %}` that closes a raw block.
fn end_of_raw(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text.get(at..)?.find("{%")? + 2;
        let rest = text.get(at..)?;
        let word = rest.strip_prefix(['-', '+']).unwrap_or(rest).trim_ascii_start();
        let Some(after) = word.strip_prefix("endraw") else { continue };
        let after = after.trim_ascii_start();
        if let Some(end) = after.strip_prefix(['-', '+']).unwrap_or(after).strip_prefix("%}") {
            return Some(text.len() - end.len());
        }
    }
}
