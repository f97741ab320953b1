//! Lines of a listing: cells in columns, and behind them what is known in words. At a terminal they fit its width: cells that may be
//! shortened are, in their middle, and what still does not fit goes on in the next line. In a pipe an item is one line.

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::screen::Screen;
use crate::visible;

/// Between two columns.
const GAP: &str = "  ";
/// How far lines that go on are set in, where the cells leave no room for words behind them.
const INDENT: usize = 4;

/// Names are not shortened to less than this as long as there is another way.
const NAME_COMFORTABLE: usize = 16;

/// A column of so much is narrow, and worth keeping straight.
const NARROW: usize = 20;
/// Behind the cells there is room for words where this is left of the line.
const ROOM: usize = 40;

/// A text in a column.
#[derive(Debug)]
pub(super) struct Cell {
    text: String,
    style: Style,
    /// The columns that it is left at least, where it may be shortened.
    least: Option<usize>,
}

impl Cell {
    /// One that is shown whole: an id that is copied, a number, a word of ours.
    pub fn whole(text: impl Into<String>, style: Style) -> Self {
        Self { text: visible::one_line(&text.into()).into_owned(), style, least: None }
    }

    /// A name, which may be shortened to so many columns.
    pub fn name(text: &str, least: usize) -> Self {
        Self { least: Some(least), ..Self::whole(text, Style::new()) }
    }
}

/// An item.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// In columns.
    pub cells: Vec<Cell>,
    /// Behind them: phrases, each on one line if it fits one. They go on below where they began if they fit there; otherwise at the
    /// beginning of the next line, unless it `hangs`.
    pub phrases: Vec<(String, Style)>,
    /// Whether phrases stay behind the cells even if some of them have to be broken for that.
    pub hangs: bool,
}

impl Row {
    /// Adds a phrase; an empty one is none.
    pub fn say(&mut self, phrase: impl Into<String>, style: Style) {
        let phrase = phrase.into();
        if !phrase.is_empty() {
            self.phrases.push((visible::one_line(&phrase).into_owned(), style));
        }
    }
}

/// The columns' widths: those of the widest cells so far.
#[derive(Debug, Default)]
pub(super) struct Table {
    widths: Vec<usize>,
}

impl Table {
    /// Makes room for these rows.
    pub fn fit(&mut self, rows: &[Row]) {
        for row in rows {
            self.widths.resize(self.widths.len().max(row.cells.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(cell.text.width());
            }
        }
    }

    /// The row's lines, each with its line feed.
    pub fn lines(&self, row: &Row, screen: &Screen) -> String {
        let widths = self.widths_for(row, screen);
        let mut writer = Writer { screen, out: String::new(), column: 0, spaces: 0, indent: INDENT };
        for (cell, width) in row.cells.iter().zip(&widths) {
            let text = shortened(&cell.text, *width);
            writer.place(&text, cell.style, *width);
        }
        let begin = writer.end(0);
        let left = screen.width.map_or(usize::MAX, |width| width.saturating_sub(begin));
        let wanted = row.phrases.iter().map(|(phrase, _)| phrase.width() + GAP.len()).sum::<usize>().saturating_sub(GAP.len());
        if wanted > left {
            if left >= ROOM && (row.hangs || row.phrases.iter().all(|(phrase, _)| phrase.width() <= left)) {
                writer.indent = begin;
            } else {
                writer.new_line();
            }
        }
        for (phrase, style) in &row.phrases {
            writer.phrase(phrase, *style);
        }
        writer.out + "\n"
    }

    /// The widths, as far as the screen has room: names are shortened, the widest first.
    fn widths_for(&self, row: &Row, screen: &Screen) -> Vec<usize> {
        let widest = |(place, cell): (usize, &Cell)| self.widths.get(place).copied().unwrap_or(0).max(cell.text.width());
        let mut widths: Vec<usize> = row.cells.iter().enumerate().map(widest).collect();
        let Some(room) = screen.width else { return widths };
        let mut excess = (widths.iter().sum::<usize>() + GAP.len() * widths.len().saturating_sub(1)).saturating_sub(room);
        let shrink = |widths: &mut [usize], excess: &mut usize, floor: usize| {
            while *excess > 0 {
                let can = |(width, cell): &(&mut usize, &Cell)| cell.least.is_some_and(|least| **width > least.max(floor));
                let Some((width, _)) = widths.iter_mut().zip(&row.cells).filter(can).max_by_key(|(width, _)| **width) else { break };
                *width -= 1;
                *excess -= 1;
            }
        };
        shrink(&mut widths, &mut excess, NAME_COMFORTABLE);
        // Then this row leaves a wide column: one long id does not take the names of all others.
        for (width, cell) in widths.iter_mut().zip(&row.cells).rev().filter(|(width, _)| **width > NARROW) {
            let spare = width.saturating_sub(cell.text.width()).min(excess);
            *width -= spare;
            excess -= spare;
        }
        shrink(&mut widths, &mut excess, 0);
        widths
    }
}

/// Puts words onto lines.
struct Writer<'s> {
    screen: &'s Screen,
    out: String,
    /// Columns of this line that are written.
    column: usize,
    /// Columns behind them that stay empty if something follows.
    spaces: usize,
    indent: usize,
}

impl Writer<'_> {
    fn new_line(&mut self) {
        self.out.push('\n');
        (self.column, self.spaces) = (0, self.indent);
    }

    /// Where the next thing would end.
    fn end(&self, width: usize) -> usize {
        let gap = if self.column == 0 { 0 } else { GAP.len() };
        self.column + self.spaces + gap + width
    }

    fn is_beyond(&self, end: usize) -> bool {
        self.screen.width.is_some_and(|room| end > room)
    }

    /// A text that takes so many columns, and is shorter perhaps.
    fn place(&mut self, text: &str, style: Style, width: usize) {
        if self.column > 0 && self.is_beyond(self.end(text.width())) {
            self.new_line();
        }
        self.write(text, style, GAP);
        self.spaces = width.saturating_sub(text.width());
    }

    fn write(&mut self, text: &str, style: Style, gap: &str) {
        let gap = if self.column == 0 { "" } else { gap };
        if !text.is_empty() {
            self.out.extend(std::iter::repeat_n(' ', self.spaces));
            self.out.push_str(gap);
            self.out.push_str(&self.screen.paint(style, text));
            self.column += self.spaces + gap.len() + text.width();
            self.spaces = 0;
        } else if self.column > 0 {
            self.spaces += gap.len();
        }
    }

    fn phrase(&mut self, phrase: &str, style: Style) {
        if !self.is_beyond(self.end(phrase.width())) {
            return self.write(phrase, style, GAP);
        }
        if !self.is_beyond(self.indent + phrase.width()) {
            self.new_line();
            return self.write(phrase, style, GAP);
        }
        // It is longer than a line: broken between its words, which are never broken.
        for (place, word) in phrase.split(' ').enumerate() {
            let gap = if place == 0 { GAP } else { " " };
            if self.column > self.indent && self.is_beyond(self.column + self.spaces + gap.len() + word.width()) {
                self.new_line();
            }
            self.write(word, style, gap);
        }
    }
}

/// A text that is not longer than so many columns, shortened in its middle: names differ at both ends.
pub(super) fn shortened(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let left = width.saturating_sub(1);
    let (head, tail) = (left.div_ceil(2), left / 2);
    let take = |characters: &mut dyn Iterator<Item = char>, room: usize| {
        let mut taken = String::new();
        for character in characters {
            let longer = format!("{taken}{character}");
            if longer.width() > room {
                break;
            }
            taken = longer;
        }
        taken
    };
    let end: String = take(&mut text.chars().rev(), tail).chars().rev().collect();
    format!("{}\u{2026}{end}", take(&mut text.chars(), head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(width: Option<usize>) -> Screen {
        Screen::without_colour(width)
    }

    fn row() -> Row {
        let mut row = Row {
            cells: vec![
                Cell::whole("dead", Style::new()),
                Cell::whole("01a211d2-e752-7b27-8ade-74d8f04a3ba4_crm", Style::new()),
                Cell::name("a route with a rather long name", 8),
            ],
            phrases: Vec::new(),
            hangs: false,
        };
        row.say("status 422: not worth repeating", Style::new());
        row.say("\"no such person\"", Style::new());
        row
    }

    #[test]
    fn lines_fit_names_are_shortened_and_ids_never() {
        let row = row();
        let mut table = Table::default();
        table.fit(std::slice::from_ref(&row));
        let piped = table.lines(&row, &screen(None));
        assert_eq!(piped.lines().count(), 1, "{piped}");
        for width in 60..200 {
            let lines = table.lines(&row, &screen(Some(width)));
            assert!(lines.contains("01a211d2-e752-7b27-8ade-74d8f04a3ba4_crm") && lines.contains("\"no such person\""), "{lines}");
            for line in lines.lines() {
                assert!(line.width() <= width && line == line.trim_end(), "{width}: {lines}");
            }
        }
        assert_eq!(
            table.lines(&row, &screen(Some(60))),
            "dead  01a211d2-e752-7b27-8ade-74d8f04a3ba4_crm  a rout\u{2026} name\n    status 422: not worth repeating  \"no such person\"\n"
        );
    }

    #[test]
    fn words_go_on_behind_the_cells_where_these_leave_room() {
        let mut row = Row { cells: vec![Cell::name("crm", 12), Cell::whole("OPEN 2m", Style::new())], phrases: Vec::new(), hangs: false };
        row.say("2,862 waiting (oldest 2m, about 50 min at 1/s)", Style::new());
        row.say("401 INVALID_AUTHENTICATION: the token has expired", Style::new());
        let mut table = Table::default();
        table.fit(std::slice::from_ref(&row));
        let expected = "crm  OPEN 2m  2,862 waiting (oldest 2m, about 50 min at 1/s)\n              401 INVALID_AUTHENTICATION: the token has expired\n";
        assert_eq!(table.lines(&row, &screen(Some(80))), expected);
    }

    #[test]
    fn a_phrase_longer_than_a_line_is_broken_between_words() {
        let mut row = Row { cells: vec![Cell::whole("x", Style::new())], phrases: Vec::new(), hangs: true };
        row.say("one two three four five six seven eight nine ten eleven twelve", Style::new());
        let lines = Table::default().lines(&row, &screen(Some(43)));
        assert_eq!(lines, "x  one two three four five six seven eight\n   nine ten eleven twelve\n");
    }

    #[test]
    fn names_keep_both_ends() {
        assert_eq!(shortened("abcdefghij", 5), "ab\u{2026}ij");
        assert_eq!(shortened("abcdefghij", 6), "abc\u{2026}ij");
        assert_eq!(shortened("\u{5317}\u{4eac}\u{5317}\u{4eac}", 6), "\u{5317}\u{2026}\u{4eac}");
        assert_eq!(shortened("abc", 3), "abc");
    }
}
