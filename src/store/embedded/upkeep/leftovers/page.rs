//! What of a page is in use, and clearing the rest. Pure: a page is bytes.
//!
//! `secure_delete` overwrites a cell that is deleted. It does not overwrite the copies of a cell that stay behind where
//! SQLite balances its trees: a page that is rebuilt with fewer cells keeps the bytes of those that went to a neighbour,
//! in the gap between its pointers and its cells. The row may be deleted later; the copy stays.
//!
//! The form of a page is <https://www.sqlite.org/fileformat2.html>, 1.5 and 1.6.

/// The database's header stands in front of the first page's own.
const DATABASE_HEADER_BYTES: usize = 100;
/// The smallest free block: its own header, which is never cleared.
const FREE_BLOCK_HEADER_BYTES: usize = 4;
/// A trunk of the list of free pages begins with the next trunk's number and the count of its entries.
const TRUNK_HEADER_BYTES: usize = 8;

/// Pages from which on a page that is no tree's could be taken for one: then the number that it begins with, of the page
/// that follows it, would begin with the byte that marks a tree's page. So large a database (128 GiB) is left alone.
pub(super) const PAGES_MAX: u32 = 0x0200_0000;

/// Clears what is not in use of a tree's page; whether there was anything. A page that is none, or is damaged, is left as it is.
pub(super) fn clear(page: &mut [u8], is_first: bool) -> bool {
    let Some(unused) = unused(page, is_first) else { return false };
    let mut cleared = false;
    for (from, to) in unused {
        if let Some(bytes) = page.get_mut(from..to) {
            cleared |= clear_all(bytes);
        }
    }
    cleared
}

/// Clears a trunk of the list of free pages but for its entries; whether there was anything.
pub(super) fn clear_trunk(page: &mut [u8]) -> bool {
    let entries = number(page, 4).and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let in_use = entries.saturating_mul(4).saturating_add(TRUNK_HEADER_BYTES);
    page.get_mut(in_use..).is_some_and(clear_all)
}

/// Clears everything; whether there was anything.
pub(super) fn clear_all(bytes: &mut [u8]) -> bool {
    let found = bytes.iter().any(|byte| *byte != 0);
    if found {
        bytes.fill(0);
    }
    found
}

/// The next trunk's number, or 0, and the entries of this one.
pub(super) fn trunk(page: &[u8]) -> Option<(u32, Vec<u32>)> {
    let (next, count) = (number(page, 0)?, usize::try_from(number(page, 4)?).ok()?);
    let entries = page.get(TRUNK_HEADER_BYTES..count.checked_mul(4)?.checked_add(TRUNK_HEADER_BYTES)?)?;
    Some((next, entries.chunks_exact(4).filter_map(|entry| number(entry, 0)).collect()))
}

/// Four bytes, the highest first.
pub(super) fn number(page: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(page.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn short(page: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(page.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}

/// Stretches that hold nothing; `None` where the page is not one of a tree, or not as it must be.
fn unused(page: &[u8], is_first: bool) -> Option<Vec<(usize, usize)>> {
    let header = if is_first { DATABASE_HEADER_BYTES } else { 0 };
    let header_bytes = match page.get(header)? {
        0x02 | 0x05 => 12, // Inner pages: of an index, of a table.
        0x0a | 0x0d => 8,  // Leaves.
        _ => return None,
    };
    let cells = short(page, header + 3)?;
    let pointers = header + header_bytes;
    let gap_begins = pointers + 2 * cells;
    let content = match short(page, header + 5)? {
        0 => 65_536,
        content => content,
    };
    if gap_begins > content || content > page.len() {
        return None;
    }
    for cell in 0..cells {
        let at = short(page, pointers + 2 * cell)?;
        if at < content || at >= page.len() {
            return None;
        }
    }
    let mut unused = vec![(gap_begins, content)];
    let mut block = short(page, header + 1)?;
    let mut after = content;
    while block != 0 {
        let (next, size) = (short(page, block)?, short(page, block + 2)?);
        let end = block + size;
        // Free blocks are in the order of their places, and never touch.
        if block < after || size < FREE_BLOCK_HEADER_BYTES || end > page.len() || (next != 0 && next <= end) {
            return None;
        }
        unused.push((block + FREE_BLOCK_HEADER_BYTES, end));
        after = end;
        block = next;
    }
    Some(unused)
}
