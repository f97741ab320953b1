//! The relay as its users meet it: the real binary, real HTTP on both sides, a real store on disk. Nothing in here
//! imports the relay's own code, so that a test cannot share a mistake with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by panicking")]

mod harness;

mod accounts;
mod admin_access;
mod alerting;
mod answering;
mod authenticating;
mod backup;
mod bad_input;
mod batching;
mod books;
mod cli;
mod clock;
mod connections;
mod damaged;
mod dashboards;
mod delivering;
mod delivering_circuit;
mod delivering_failures;
mod delivering_refusals;
mod delivering_rules;
mod deploying;
mod dry_run;
mod egress;
mod failing_disk;
mod first_hour;
mod full_disk;
mod holding;
mod hostile;
mod image;
mod including;
mod kill_steps;
mod logging;
mod measuring;
mod mixed_load;
mod network;
mod operating;
mod ordering;
mod privacy;
mod private;
mod proxying;
mod quarantine;
mod real_servers;
mod receiving;
mod receiving_limits;
mod receiving_memory;
mod reloading;
mod replies;
mod restart;
mod retention;
mod scripts;
mod secret_in_url;
mod securing;
mod seeing_why;
mod showing;
mod succeeding;
mod surviving;
mod throttling;
mod tokens;
mod tracing;
mod unusual_json;
mod upgrade;
mod withholding;
