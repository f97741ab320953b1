//! What can be done with the store of a folder, or with a file that a back-up has made, while a relay may be running on it.

use std::io;
use std::path::{Path, PathBuf};

use super::Embedded;
use super::read::export;
use crate::store::{Audit, BackUp, Exported, ExportedEvent, StoreError, Tools, Verb};

/// A store by the name of its folder, or of a back-up's file. Nothing is opened yet.
#[derive(Debug)]
pub struct Place(pub PathBuf);

impl Tools for Place {
    fn engine(&self) -> &'static str {
        "the embedded store"
    }

    fn instead(&self, _: Verb) -> &'static str {
        "a newer version"
    }

    fn audit(&self) -> Result<Audit, StoreError> {
        Embedded::audit_folder(&self.0)
    }

    fn back_up(&self, into: &Path) -> Result<Box<dyn BackUp>, StoreError> {
        Ok(Box::new(Embedded::back_up(&self.0, into)?))
    }

    fn export(&self, write: &mut dyn FnMut(&ExportedEvent) -> io::Result<()>) -> Result<Exported, StoreError> {
        export::export(&self.0, write)
    }
}
