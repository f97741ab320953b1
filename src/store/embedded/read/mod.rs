//! What is read on connections that never write.

pub mod audit;
pub mod backlog;
pub mod due;
pub mod export;
pub mod histories;
pub mod listing;
pub mod readers;
pub mod redrivable;
