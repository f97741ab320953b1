//! What dedupe keys are hashed with before they are kept, and how the log keeps them.

use rusqlite::{Connection, Transaction, params};
use sha2::{Digest as _, Sha256};

use super::meta;
use crate::event::EventId;
use crate::store::DedupeKey;

/// Bytes of a key and its id in the log.
pub const ENTRY_BYTES: usize = 32;

/// Makes keys that mean nothing outside of one store.
#[derive(Clone)]
pub struct Salt([u8; 32]);

impl Salt {
    /// The store's own.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let salt = meta::get(connection, meta::DEDUPE_SALT)?;
        salt.map(Self).ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    /// The first 16 bytes of SHA-256 over salt and key. Both have a fixed length, so a plain hash is as good as an HMAC.
    pub fn hash(&self, key: &DedupeKey) -> DedupeKey {
        let hash: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(key.0).finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(hash.split_at(16).0);
        DedupeKey(first)
    }
}

/// Hashes the keys of a log that an older version wrote: the window goes on.
pub fn salt_log(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    let salt = Salt::load(transaction)?;
    let rows: Vec<i64> =
        transaction.prepare("SELECT sequence FROM dedupe_log")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut read = transaction.prepare("SELECT entries FROM dedupe_log WHERE sequence = ?")?;
    let mut write = transaction.prepare("UPDATE dedupe_log SET entries = ? WHERE sequence = ?")?;
    for row in rows {
        let plain: Vec<u8> = read.query_row([row], |row| row.get(0))?;
        let salted: Vec<_> = entries(&plain).map(|(key, id)| (salt.hash(&key), id)).collect();
        write.execute(params![blob(&salted), row])?;
    }
    Ok(())
}

/// As the log keeps them.
pub fn blob(keys: &[(DedupeKey, EventId)]) -> Vec<u8> {
    let mut blob = Vec::with_capacity(keys.len() * ENTRY_BYTES);
    for (key, id) in keys {
        blob.extend_from_slice(&key.0);
        blob.extend_from_slice(id.as_bytes());
    }
    blob
}

pub fn entries(blob: &[u8]) -> impl Iterator<Item = (DedupeKey, EventId)> {
    blob.chunks_exact(ENTRY_BYTES).filter_map(|entry| {
        let (key, id) = entry.split_at(16);
        Some((DedupeKey(key.try_into().ok()?), EventId::from_bytes(id.try_into().ok()?)))
    })
}
