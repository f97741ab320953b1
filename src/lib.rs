//! `wiza-relay`, in the order in which an event meets the modules.
//!
//! *Words*: [`json`], [`event`], [`delivery`], [`names`], [`durations`], [`wire`], [`asker`], [`fault`],
//! [`visible`], [`text`], [`reply_words`]. *Pure*: [`verify`], [`guesses`],
//! [`condition`], [`config`], [`route`], [`rules`], [`explain`],
//! [`rule_test`], [`transform`], [`trace_context`], [`egress`], [`envelope`], [`signature`], [`oauth2`], [`tls`], [`success`], [`retry`],
//! [`retry_after`], [`circuit`], [`pace`], [`own_events`].
//! *Effects*: [`clock`], [`chance`], [`vitals`], [`store`], [`send`], [`metrics`], [`traces`], [`listen`], [`open_files`], [`core_dumps`], [`service_manager`].
//! *Flows*: [`receive`], [`deliver`], [`admin`]. *Wiring*: [`app`], [`announce`], [`cli`]. Imports go downwards only, and flows never
//! import each other; ARCHITECTURE.md says more.

pub mod announce;
pub mod app;
pub mod books;
pub mod cli;
pub mod reload;

pub mod listen;
pub mod receive;
pub mod verify;
pub mod withhold;

pub mod condition;
pub mod config;
pub mod explain;
pub mod route;
pub mod rule_test;
pub mod rules;

pub mod store;

pub mod circuit;
pub mod deliver;
pub mod egress;
pub mod envelope;
pub mod oauth2;
pub mod own_events;
pub mod pace;
pub mod proxies;
pub mod retry;
pub mod retry_after;
pub mod send;
pub mod signature;
pub mod success;
pub mod tls;
pub mod transform;

pub mod admin;
pub mod core_dumps;
pub mod metrics;
pub mod open_files;
pub mod rules_file;
pub mod service_manager;
pub mod traces;

pub mod asker;
pub mod chance;
pub mod clock;
pub mod delivery;
pub mod durations;
pub mod event;
pub mod fault;
pub mod guesses;
pub mod json;
pub mod names;
pub mod problem;
pub mod reply_words;
pub mod text;
pub mod trace_context;
pub mod visible;
pub mod vitals;
pub mod wire;

#[cfg(test)]
mod simulation_tests;
