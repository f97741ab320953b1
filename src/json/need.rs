//! What memory a JSON text takes once it is read.

use serde_json::Value;

/// Texts beyond this are looked through for the lengths of their lists before they are read.
const COUNTED_FROM: usize = 64 * 1024;
/// A value in its list or object, and the smallest block for its text or digits.
const VALUE_BYTES: usize = size_of::<Value>() + 16;
/// What a member has beside its value, in its object and while the object is being read.
const MEMBER_BYTES: usize = size_of::<(u64, String)>() + 32 + size_of::<(String, Value)>();
/// A text is counted in pieces of so many bytes: less than 256, which is what a byte counts to, and a multiple of 32.
const PIECE_BYTES: usize = 224;
/// The table of the smallest object.
const OBJECT_BYTES: usize = 64;

/// The bytes that reading this text takes at most, beside the text itself. 1 MiB can take 40 MiB: `[0,0,0,...]` is a value
/// for each two bytes.
pub fn need(text: &[u8]) -> usize {
    // Also those that stand in strings: looking where a string ends would take ten times as long.
    let (mut objects, mut lists, mut members, mut commas) = (0, 0, 0, 0);
    for piece in text.chunks(PIECE_BYTES) {
        objects += count(piece, b'{');
        lists += count(piece, b'[');
        members += count(piece, b':');
        commas += count(piece, b',');
    }
    let values = commas + lists + objects + 1;
    // The lists of a short text grow while it is read, and may end with as much room again.
    let room = if text.len() < COUNTED_FROM { 2 } else { 1 };
    text.len() + values * room * VALUE_BYTES + members * MEMBER_BYTES + objects * OBJECT_BYTES
}

/// How often a byte is in a piece. The counter is a byte too, so that the compiler compares and counts many bytes at a time: one by one,
/// this took as long as half of the reading.
fn count(piece: &[u8], wanted: u8) -> usize {
    usize::from(piece.iter().map(|byte| u8::from(*byte == wanted)).sum::<u8>())
}

/// How many items each list has, in the order in which the lists begin; nothing for a text that is short. A list that grows
/// while it is read takes up to three times its size for a moment, and one that has its length from the start does not.
pub(super) fn list_lengths(text: &str) -> Vec<u32> {
    let mut lengths: Vec<u32> = Vec::new();
    if text.len() < COUNTED_FROM {
        return lengths;
    }
    // The places of the lists that are open; an object has none.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut is_empty = true;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'[' | b'{' => {
                count_first(&mut lengths, &open, is_empty);
                open.push((byte == b'[').then_some(lengths.len()));
                if byte == b'[' {
                    lengths.push(0);
                }
                is_empty = true;
                continue;
            }
            b']' | b'}' => _ = open.pop(),
            b',' => count_one(&mut lengths, &open),
            _ => count_first(&mut lengths, &open, is_empty),
        }
        is_empty = false;
        if byte == b'"' {
            while let Some(byte) = bytes.next() {
                match byte {
                    b'\\' => _ = bytes.next(),
                    b'"' => break,
                    _ => {}
                }
            }
        }
    }
    lengths
}

fn count_first(lengths: &mut [u32], open: &[Option<usize>], is_empty: bool) {
    if is_empty {
        count_one(lengths, open);
    }
}

/// One more item of the list that is open.
fn count_one(lengths: &mut [u32], open: &[Option<usize>]) {
    if let Some(length) = open.last().copied().flatten().and_then(|list| lengths.get_mut(list)) {
        *length = length.saturating_add(1);
    }
}
