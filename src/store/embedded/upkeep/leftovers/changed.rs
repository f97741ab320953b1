//! Which pages were changed, as the write-ahead log tells: whatever is written goes through it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

const LOG_HEADER_BYTES: u64 = 32;
/// Two numbers that are new whenever the log begins anew.
const SALTS_AT: usize = 16;
const FRAME_HEADER_BYTES: u64 = 24;

/// A set of pages, a bit each: 330 KB for a database of 10 GiB.
#[derive(Debug, Default)]
pub(super) struct Pages(Vec<u64>);

impl Pages {
    /// All pages up to this one.
    pub fn all(last: u32) -> Self {
        Self(vec![u64::MAX; place(last).0 + 1])
    }

    pub fn add(&mut self, page: u32) {
        let (word, bit) = place(page);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << bit;
        }
    }

    pub fn has(&self, page: u32) -> bool {
        let (word, bit) = place(page);
        self.0.get(word).is_some_and(|word| word & (1 << bit) != 0)
    }

    /// Those after `after` up to `last`, at most so many.
    pub fn after(&self, after: u32, last: u32, at_most: usize) -> Vec<u32> {
        (after.saturating_add(1)..=last).filter(|page| self.has(*page)).take(at_most).collect()
    }
}

fn place(page: u32) -> (usize, u32) {
    (usize::try_from(page / 64).unwrap_or(usize::MAX), page % 64)
}

/// Reads the log's frames as they are committed.
#[derive(Debug)]
pub(super) struct Changed {
    log: PathBuf,
    page_bytes: u64,
    file: Option<File>,
    /// Those of the log whose frames were read last, and how many of them were read.
    salts: [u8; 8],
    frames: u32,
    pages: Pages,
}

impl Changed {
    /// Nothing is known of what was changed before, so all pages up to `last` count as changed.
    pub fn new(log: PathBuf, page_bytes: u64, last: u32) -> Self {
        Self { log, page_bytes, file: None, salts: [0; 8], frames: 0, pages: Pages::all(last) }
    }

    /// Notes what the commits since the last call have written. `frames` is how many the log has now.
    pub fn note(&mut self, frames: u32) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.log)?,
        };
        let mut header = [0; LOG_HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0)?;
        let salts: [u8; 8] = header.get(SALTS_AT..SALTS_AT + 8).and_then(|salts| salts.try_into().ok()).unwrap_or_default();
        if salts != self.salts || frames < self.frames {
            (self.salts, self.frames) = (salts, 0);
        }
        for frame in self.frames..frames {
            let mut page = [0; 4];
            file.read_exact_at(&mut page, LOG_HEADER_BYTES + u64::from(frame) * (FRAME_HEADER_BYTES + self.page_bytes))?;
            self.pages.add(u32::from_be_bytes(page));
        }
        self.frames = frames;
        self.file = Some(file);
        Ok(())
    }

    /// What was changed is not known any more: then everything counts as changed.
    pub fn lose_track(&mut self, last: u32) {
        self.pages = Pages::all(last);
    }

    /// The pages that were changed since the last call.
    pub fn take(&mut self) -> Pages {
        std::mem::take(&mut self.pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_in_their_order_some_at_a_time() {
        let mut pages = Pages::default();
        for page in [700, 3, 64, 63] {
            pages.add(page);
        }
        assert_eq!(pages.after(0, 1_000, 3), [3, 63, 64]);
        assert_eq!(pages.after(64, 1_000, 3), [700]);
        assert_eq!(pages.after(0, 63, 9), [3, 63], "no page behind the last one");
        assert!(!pages.has(701) && Pages::all(5).has(5));
    }
}
