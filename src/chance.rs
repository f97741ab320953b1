//! Chance, for the lanes. Pure modules are given it as an argument. In a build for tests a simulation seeds it on its thread.

/// Uniform in 0..1.
#[cfg(not(test))]
#[inline(always)]
pub fn uniform() -> f64 {
    rand::random()
}

#[cfg(test)]
pub use simulated::{seed, uniform};

#[cfg(test)]
mod simulated {
    use std::cell::RefCell;

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    thread_local! {
        static SEEDED: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    }

    /// From now on chance on this thread follows from the seed; `None`: it is real again.
    pub fn seed(seed: Option<u64>) {
        SEEDED.set(seed.map(StdRng::seed_from_u64));
    }

    /// Uniform in 0..1.
    pub fn uniform() -> f64 {
        SEEDED.with_borrow_mut(|seeded| seeded.as_mut().map_or_else(rand::random, |random| random.random()))
    }
}
