//! What is in memory of each destination: a bounded window in front of its durable backlog. Nothing here reads or writes a file.

pub mod ended;
pub mod entries;
pub mod order;
pub mod queue;
pub mod queues;
pub mod receipt;
pub mod state;
