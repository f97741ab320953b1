//! The store that a command works on by itself, without a relay.

use std::path::Path;

use crate::store::embedded::Place;
use crate::store::{StoreError, Tools};

/// What can be done with the store of this name.
pub(super) fn tools(store: &Path) -> Box<dyn Tools> {
    Box::new(Place(store.to_owned()))
}

/// An error of a store for whoever gave it its name by `--store`.
pub(super) fn words(error: &StoreError) -> String {
    match error {
        StoreError::Misnamed(what) => format!("{what} with --store"),
        other => other.to_string(),
    }
}
