//! docs/deploy.md, done as it says: its commands are run one after the other, as a reader would run them.

mod compose;
mod document;
mod kubernetes;
mod nginx;
mod systemd;
