//! Where in a file a template stands, and so which names it knows.

use crate::condition::PathRoot;

use crate::transform::errors::TemplateError;
use crate::transform::foresight::reads::ReadPath;
use crate::transform::names::context::{BATCH_NAMES, ELEMENT_NAMES};

/// Where a template stands. By default: where an event's names are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scope {
    /// In the body of a batch, which sees the list of its members' bodies.
    pub of_batch: bool,
    /// Inside of `$each`, where `item` and `loop` are known too.
    pub in_each: bool,
}

impl Scope {
    /// Refuses what would be absent in every batch, before any is rendered.
    pub(in crate::transform) fn check(self, reads: &[ReadPath]) -> Result<(), TemplateError> {
        if !self.of_batch {
            return Ok(());
        }
        let unknown = reads.iter().find(|read| match (read.path.root, read.path.names().first()) {
            (PathRoot::Event, _) => true,
            (PathRoot::Payload, Some(name)) => {
                let is_known = BATCH_NAMES.contains(name) || (self.in_each && ELEMENT_NAMES.contains(name));
                !read.is_explicit && !is_known
            }
            (PathRoot::Payload, None) => false,
        });
        let Some(read) = unknown else { return Ok(()) };
        let written = read.written();
        Err(match read.path.root {
            PathRoot::Event => {
                TemplateError::new(read.path.span.start, format!("a batch is of several events, so `{written}` is not known here"))
                    .hint("put it into the members' bodies: the destination's `body: { id: \"{{ event.id }}\", ... }`")
            }
            PathRoot::Payload => TemplateError::new(read.path.span.start, format!("`{written}` is not known in a batch's body"))
                .hint("`items` is the list of the members' bodies: `{% for item in items %}{{ item.NAME }}{% endfor %}`"),
        })
    }
}
