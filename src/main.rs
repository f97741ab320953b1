//! The binary: everything is in [`wiza_relay::cli`].

use std::process::ExitCode;

/// musl's own allocator is slow, and glibc's keeps memory that is free.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wiza_relay::cli::main()
}
