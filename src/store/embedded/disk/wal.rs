//! Looking at the write-ahead log before SQLite does. Recovery takes what is whole from the log's beginning and passes
//! over the rest in silence: right after a power cut, which tears the last commit at most, and wrong where the log was
//! damaged or cut off later, because then commits are lost that were acknowledged. This tells the one from the other.
//!
//! The form of the log and of its index is <https://www.sqlite.org/walformat.html>.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The magic number but for its lowest bit, which says in which order the checksums' bytes are.
const MAGIC: u32 = 0x377f_0682;
/// The largest page that SQLite knows.
const PAGE_BYTES_MAX: usize = 65_536;
/// One of the two copies of the index's header; behind them stands how much was moved into the file.
const INDEX_HEADER_BYTES: usize = 48;
const INDEX_BYTES: usize = 100;

/// Acknowledged commits in the log that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes of the log that are whole.
    pub whole_bytes: u64,
    /// Why it is known that there was more.
    pub because: String,
}

/// Whether the log in these files has lost commits.
///
/// # Errors
/// The files cannot be read.
pub fn check(log: &Path, index: &Path) -> io::Result<Option<Damage>> {
    let index = Index::read(index)?;
    let file = match File::open(log) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let missing = index.filter(|index| index.frames > index.moved);
            return Ok(missing.map(|index| Damage { whole_bytes: 0, because: format!("it is missing and held {} pages", index.frames) }));
        }
        Err(error) => return Err(error),
    };
    let mut log = Log { input: BufReader::with_capacity(1 << 20, file) };
    let mut header = [0; HEADER_BYTES];
    if !log.fill(&mut header)? {
        let lost = index.filter(|index| index.frames > index.moved);
        return Ok(lost.map(|index| Damage { whole_bytes: 0, because: format!("it is cut off and held {} pages", index.frames) }));
    }
    let Some(mut reader) = Reader::new(&header) else {
        let lost = index.filter(|index| index.frames > index.moved);
        return Ok(
            lost.map(|index| Damage { whole_bytes: 0, because: format!("its header is damaged, and it held {} pages", index.frames) })
        );
    };
    let index = index.filter(|index| index.salts == reader.salts);
    let mut frame = vec![0; FRAME_HEADER_BYTES + reader.page_bytes];
    let (mut whole, mut committed) = (0, 0);
    let mut commits_behind = 0;
    let mut broken = false;
    while log.fill(&mut frame)? {
        let seen = reader.frame(&frame);
        if !seen.same_log {
            break; // From before the log was begun anew.
        }
        broken |= !seen.whole;
        if broken {
            commits_behind += u32::from(seen.whole && seen.commit);
        } else {
            whole += 1;
            if seen.commit {
                committed = whole;
            }
        }
    }
    let place = |frames: u32| (HEADER_BYTES as u64) + u64::from(frames) * ((FRAME_HEADER_BYTES + reader.page_bytes) as u64);
    // One commit at a time is on its way to the disk, so a power cut leaves one behind a torn page, and never two.
    if commits_behind > 1 {
        let because = format!("{commits_behind} commits stand behind a damaged page");
        return Ok(Some(Damage { whole_bytes: place(committed), because }));
    }
    if let Some(index) = index
        && index.frames > committed
        && index.frames > index.moved
    {
        let because = format!("it held {} pages, of which {committed} are whole", index.frames);
        return Ok(Some(Damage { whole_bytes: place(committed), because }));
    }
    Ok(None)
}

struct Log {
    input: BufReader<File>,
}

impl Log {
    /// Fills the buffer; `false` where the file ends before.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        match self.input.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The state of the checksum on its way through the log.
struct Reader {
    big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    sum: (u32, u32),
}

/// What was found of one page of the log.
struct Seen {
    /// It belongs to this log and not to one before it in the same file.
    same_log: bool,
    whole: bool,
    /// A commit ends with it.
    commit: bool,
}

impl Reader {
    fn new(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let magic = big(header, 0);
        let page_bytes = usize::try_from(big(header, 8)).ok()?;
        if magic & !1 != MAGIC || !page_bytes.is_power_of_two() || !(512..=PAGE_BYTES_MAX).contains(&page_bytes) {
            return None;
        }
        let mut reader = Self { big_endian: magic & 1 == 1, page_bytes, salts: header[16..24].try_into().ok()?, sum: (0, 0) };
        reader.add(&header[..24]);
        (reader.sum == (big(header, 24), big(header, 28))).then_some(reader)
    }

    /// Checks the next page. The checksum goes on from what is written, so that those behind a damaged one can be told.
    fn frame(&mut self, frame: &[u8]) -> Seen {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER_BYTES..]);
        let written = (big(frame, 16), big(frame, 20));
        let whole = self.sum == written;
        self.sum = written;
        // A page whose salts are damaged is one of this log, if its checksum follows from the page before it.
        Seen { same_log: frame[8..16] == self.salts || whole, whole: whole && frame[8..16] == self.salts, commit: big(frame, 4) != 0 }
    }

    fn add(&mut self, data: &[u8]) {
        let word = |bytes: &[u8]| {
            let bytes = bytes.try_into().unwrap_or_default();
            if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let (mut one, mut two) = self.sum;
        for pair in data.chunks_exact(8) {
            one = one.wrapping_add(word(&pair[..4])).wrapping_add(two);
            two = two.wrapping_add(word(&pair[4..])).wrapping_add(one);
        }
        self.sum = (one, two);
    }
}

fn big(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// What the index that the last process left says of the log. It is written after each commit was synced, so what it
/// counts was acknowledged. After a power cut it may say anything or nothing; then it does not count.
struct Index {
    /// Pages in the log up to the last commit.
    frames: u32,
    /// Pages of them that were moved into the file.
    moved: u32,
    salts: [u8; 8],
}

impl Index {
    fn read(path: &Path) -> io::Result<Option<Self>> {
        let mut bytes = [0; INDEX_BYTES];
        match File::open(path).and_then(|mut file| file.read_exact(&mut bytes)) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => return Ok(None),
            Err(error) => return Err(error),
        }
        let (first, second) = (&bytes[..INDEX_HEADER_BYTES], &bytes[INDEX_HEADER_BYTES..2 * INDEX_HEADER_BYTES]);
        let native = |at: usize| bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
        let initialised = bytes[12] == 1;
        if first != second || !initialised {
            return Ok(None);
        }
        Ok(Some(Self { frames: native(16), moved: native(96), salts: bytes[32..40].try_into().unwrap_or_default() }))
    }
}

#[cfg(test)]
mod tests;
