//! The binary: everything is in [`wiza_relay::cli`].

use std::process::ExitCode;

/// musl's own allocator is slow, and glibc's keeps memory that is free. SQLite has it too (`override`): with an allocator
/// of its own it asked the kernel for memory at most commits. Without huge pages (`no_thp`), which would make memory
/// resident that nothing was ever written to: twice as much when idle.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    wiza_relay::cli::main()
}
