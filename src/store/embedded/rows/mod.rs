//! What stands in the tables: the one way between a row and what it means.

pub mod checksum;
pub mod deliveries;
pub mod destinations;
pub mod events;
pub mod meta;
pub mod plan;
pub mod salt;
pub mod schema;
