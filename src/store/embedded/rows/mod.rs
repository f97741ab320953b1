//! What stands in the tables, and how it is read and written.

pub mod checksum;
pub mod deliveries;
pub mod meta;
pub mod plan;
pub mod schema;
