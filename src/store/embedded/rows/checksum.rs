//! A checksum over each event's row. SQLite notices damage to its own structure, but a flipped bit inside of a body is
//! to it a body like another; without this such an event would be delivered as if nothing had happened.

use flate2::Crc;

/// What of an event's row is covered.
#[derive(Debug, Clone, Copy)]
pub struct Covered<'a> {
    pub id: &'a [u8],
    pub received_at: i64,
    pub path: &'a str,
    pub query: &'a str,
    /// Covered where there is one, so that the checksums of events without stay what they were before there were accounts.
    pub account: Option<&'a str>,
    pub plan: &'a str,
    pub body: &'a [u8],
}

/// CRC-32 of all of it. With each part goes its length, so that what moves from one to another is noticed too.
pub fn of(row: Covered<'_>) -> u32 {
    let mut crc = Crc::new();
    let received_at = row.received_at.to_le_bytes();
    let parts = [row.id, &received_at, row.path.as_bytes(), row.query.as_bytes(), row.plan.as_bytes(), row.body];
    for part in parts.into_iter().chain(row.account.map(str::as_bytes)) {
        crc.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        crc.update(part);
    }
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_none_runs_into_the_next() {
        let row = Covered { id: b"id", received_at: 1, path: "a", query: "b", account: None, plan: "[]", body: b"{}" };
        let variants = [
            row,
            Covered { id: b"ie", ..row },
            Covered { received_at: 2, ..row },
            Covered { path: "", query: "ab", ..row },
            Covered { path: "ab", query: "", ..row },
            Covered { plan: "[[0,0]]", ..row },
            Covered { account: Some(""), ..row },
            Covered { account: Some("emea"), ..row },
            Covered { body: b"{ }", ..row },
        ];
        let sums: std::collections::HashSet<u32> = variants.into_iter().map(of).collect();
        assert_eq!(sums.len(), variants.len());
    }
}
