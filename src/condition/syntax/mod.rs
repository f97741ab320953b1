//! Text to tokens to a tree, and errors that know their fix.

pub(in crate::condition) mod call_parser;
pub(in crate::condition) mod lexer;
pub(in crate::condition) mod parser;
pub(in crate::condition) mod path_parser;
pub(in crate::condition) mod problems;
