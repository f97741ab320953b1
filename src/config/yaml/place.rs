//! From a place in a scalar's parsed string back to the place in the file: the rules of YAML 1.2.2, chapters 6.5
//! (folding), 5.7 (escapes), 7.3 (flow scalars) and 8.1 (block scalars), walked along both texts at once.

use std::ops::{ControlFlow, Range};

use super::{Content, Node, Scalar, Style};

/// The file's bytes that a range of a scalar's parsed string came from. Ranges beyond the string come out at its end.
pub(super) fn in_file(file: &str, span: &Range<usize>, scalar: &Scalar, range: Range<usize>) -> Range<usize> {
    let mut search = Search { wanted: range.clone(), passed: 0, start: None, end: None, last_end: span.start };
    let walk = Walk { file, at: span.start, end: span.end.min(file.len()) };
    let _ = match scalar.style {
        Style::Plain => walk.flow(None, &mut search),
        Style::SingleQuoted => walk.flow(Some('\''), &mut search),
        Style::DoubleQuoted => walk.flow(Some('"'), &mut search),
        Style::Literal => walk.block(scalar.indent, false, &mut search),
        Style::Folded => walk.block(scalar.indent, true, &mut search),
    };
    let start = search.start.unwrap_or(search.last_end);
    let end = search.end.unwrap_or(search.last_end).max(start);
    start..end
}

/// The word, number or `${...}` that begins at this offset of a scalar's parsed string, or else one character.
pub(in crate::config) fn word_at(node: &Node, offset: usize) -> Range<usize> {
    let Content::Scalar(scalar) = &node.content else { return offset..offset + 1 };
    let rest = scalar.text.get(offset..).unwrap_or_default();
    let length = match rest.strip_prefix("${").and_then(|inside| inside.find('}')) {
        Some(inside) => "${".len() + inside + "}".len(),
        None => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
    };
    offset..offset + length.max(1)
}

/// Notes where the wanted range of the parsed string passes by.
struct Search {
    wanted: Range<usize>,
    /// Bytes of the parsed string so far.
    passed: usize,
    start: Option<usize>,
    end: Option<usize>,
    last_end: usize,
}

impl Search {
    /// The next `length` bytes of the parsed string stand at `place` in the file.
    fn meet(&mut self, length: usize, place: Range<usize>) -> ControlFlow<()> {
        self.passed += length;
        if self.start.is_none() && self.passed > self.wanted.start {
            self.start = Some(place.start);
        }
        if self.start.is_some() && self.passed >= self.wanted.end {
            self.end = Some(place.end);
            return ControlFlow::Break(());
        }
        self.last_end = place.end;
        ControlFlow::Continue(())
    }
}

struct Walk<'a> {
    file: &'a str,
    at: usize,
    end: usize,
}

impl Walk<'_> {
    fn peek(&self) -> Option<char> {
        self.file.get(self.at..self.end)?.chars().next()
    }

    /// The bytes of a line break here, 0 where there is none.
    fn line_break(&self) -> usize {
        match self.file.get(self.at..self.end).map(str::as_bytes) {
            Some([b'\r', b'\n', ..]) => 2,
            Some([b'\r' | b'\n', ..]) => 1,
            _ => 0,
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Plain and quoted scalars.
    fn flow(mut self, quote: Option<char>, search: &mut Search) -> ControlFlow<()> {
        self.at += usize::from(quote.is_some());
        while let Some(character) = self.peek() {
            let from = self.at;
            if matches!(character, ' ' | '\t' | '\r' | '\n') {
                self.skip_blanks();
                if self.line_break() > 0 {
                    self.fold(search, true)?;
                } else {
                    // Blanks inside a line stand for themselves.
                    for at in from..self.at {
                        search.meet(1, at..at + 1)?;
                    }
                }
                continue;
            }
            self.at += character.len_utf8();
            if Some(character) == quote {
                if quote == Some('\'') && self.peek() == quote {
                    self.at += 1;
                    search.meet(1, from..self.at)?;
                    continue;
                }
                break;
            }
            if quote == Some('"') && character == '\\' {
                if self.line_break() > 0 {
                    self.fold(search, false)?;
                } else {
                    let length = self.escape();
                    search.meet(length, from..self.at)?;
                }
                continue;
            }
            search.meet(character.len_utf8(), from..self.at)?;
        }
        ControlFlow::Continue(())
    }

    /// One line break becomes a space (nothing, where it is escaped), each further one a line feed. Blanks around
    /// them vanish.
    fn fold(&mut self, search: &mut Search, spaced: bool) -> ControlFlow<()> {
        let first = self.at..self.at + self.line_break();
        let mut further = 0;
        self.at = first.end;
        self.skip_blanks();
        while self.line_break() > 0 {
            let here = self.at..self.at + self.line_break();
            self.at = here.end;
            further += 1;
            search.meet(1, here)?;
            self.skip_blanks();
        }
        if further == 0 && spaced {
            search.meet(1, first)?;
        }
        ControlFlow::Continue(())
    }

    /// Moves behind an escape whose backslash was passed, and tells how many bytes it stands for.
    fn escape(&mut self) -> usize {
        let Some(character) = self.peek() else { return 0 };
        self.at += character.len_utf8();
        match character {
            'x' => self.hexadecimal(2).map_or(1, char::len_utf8),
            'U' => self.hexadecimal(8).map_or(1, char::len_utf8),
            'u' => self.hexadecimal(4).map_or_else(
                || {
                    // A surrogate: its other half follows as `\uXXXX`, and both make one character of four bytes.
                    self.at = (self.at + 6).min(self.end);
                    4
                },
                char::len_utf8,
            ),
            'N' | '_' => 2,
            'L' | 'P' => 3,
            _ => 1,
        }
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<char> {
        let code = self.file.get(self.at..(self.at + digits).min(self.end));
        self.at = (self.at + digits).min(self.end);
        char::from_u32(u32::from_str_radix(code?, 16).ok()?)
    }

    /// Literal and folded scalars, whose span begins at their first content.
    fn block(mut self, indent: usize, folded: bool, search: &mut Search) -> ControlFlow<()> {
        self.at = self.first_line();
        // The breaks since the last line with content, and whether that line was more indented than others: around
        // such lines nothing is folded.
        let mut breaks: Vec<Range<usize>> = Vec::new();
        let mut before_is_foldable = None;
        while self.at < self.end {
            let mut indented = 0;
            while indented < indent && self.peek() == Some(' ') {
                self.at += 1;
                indented += 1;
            }
            if let Some(first) = self.peek().filter(|_| self.line_break() == 0) {
                let foldable = folded && !matches!(first, ' ' | '\t');
                let folds = foldable && before_is_foldable == Some(true);
                let single = breaks.len() == 1;
                for (index, place) in breaks.drain(..).enumerate() {
                    if !folds || single || index > 0 {
                        search.meet(1, place)?;
                    }
                }
                before_is_foldable = Some(foldable);
                while let Some(character) = self.peek().filter(|_| self.line_break() == 0) {
                    let from = self.at;
                    self.at += character.len_utf8();
                    search.meet(character.len_utf8(), from..self.at)?;
                }
            }
            let here = self.at..self.at + self.line_break();
            self.at = here.end;
            breaks.push(here);
        }
        for place in breaks {
            search.meet(1, place)?;
        }
        ControlFlow::Continue(())
    }

    /// The start of the line that holds the first content, or of the first of the empty lines before it.
    fn first_line(&self) -> usize {
        let line_start = |at: usize| self.file.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        let mut first = line_start(self.at);
        while first > 0 {
            let before = line_start(first - 1);
            if self.file.get(before..first).is_none_or(|line| !line.trim().is_empty()) {
                break;
            }
            first = before;
        }
        first
    }
}
