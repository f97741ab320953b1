//! Who is connected, and who has to go where there is no room for a newcomer.
//!
//! A connection with a request under way never goes. Of the others, strangers go first: those that have not yet had a request
//! answered with success. Of these, those of the address that has the most go first, and of one address those that have been idle for
//! longest. So nobody can keep others out by connecting and being silent, and a proxy, whose one address all webhooks come from,
//! loses no connection that it uses while there are strangers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::phase::Phase;
use crate::guesses::network;

/// Of the strangers such a part goes at once, so that a flood of connections does not cost a look at all of them for each.
const STRANGERS_PART: usize = 16;

/// All connections of one port.
#[derive(Default)]
pub(super) struct Crowd {
    connected: Mutex<HashMap<u64, Connected>>,
    next: AtomicU64,
}

struct Connected {
    network: IpAddr,
    phase: Phase,
}

/// A connection's place among them, until it is dropped.
pub(super) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
}

impl Crowd {
    /// Takes a connection from this address in.
    pub fn enter(self: &Arc<Self>, address: IpAddr, phase: Phase) -> Place {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, Connected { network: network(address), phase });
        Place { crowd: Arc::clone(self), number }
    }

    /// Tells as many as have to go that they do. It may be none, and is none while some that were told are still here: under load it
    /// takes them a moment, and nobody else has to go for that.
    pub fn make_room(&self) {
        let connected = self.lock();
        if connected.values().any(|connected| connected.phase.is_going()) {
            return;
        }
        let idle = connected.values().filter_map(|connected| {
            let Connected { network, phase } = connected;
            Some(Idle { network: *network, for_ms: phase.idle_ms()?, stranger: phase.is_stranger(), what: phase })
        });
        for phase in who_goes(idle.collect()) {
            phase.tell_to_go();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Connected>> {
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.crowd.lock().remove(&self.number);
    }
}

/// A connection without a request under way.
struct Idle<T> {
    network: IpAddr,
    for_ms: u64,
    stranger: bool,
    what: T,
}

/// Those that have to go.
fn who_goes<T>(mut idle: Vec<Idle<T>>) -> Vec<T> {
    let strangers = idle.iter().filter(|idle| idle.stranger).count();
    if strangers == 0 {
        return idle.into_iter().max_by_key(|idle| idle.for_ms).map(|idle| idle.what).into_iter().collect();
    }
    idle.retain(|idle| idle.stranger);
    let mut of_network: HashMap<IpAddr, usize> = HashMap::new();
    for idle in &idle {
        *of_network.entry(idle.network).or_default() += 1;
    }
    let goes_before = |idle: &Idle<T>| (of_network.get(&idle.network).copied().unwrap_or(0), idle.for_ms);
    let going = (strangers / STRANGERS_PART).max(1);
    idle.select_nth_unstable_by(going - 1, |one, other| goes_before(other).cmp(&goes_before(one)));
    idle.truncate(going);
    idle.into_iter().map(|idle| idle.what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_has_to_go_while_some_are_on_their_way() {
        let crowd = Arc::new(Crowd::default());
        let phases: Vec<Phase> = (0..20).map(|_| Phase::new()).collect();
        let mut places: Vec<Place> = phases.iter().map(|phase| crowd.enter(IpAddr::from([10, 0, 0, 1]), phase.clone())).collect();
        let going = || phases.iter().filter(|phase| phase.is_going()).count();
        crowd.make_room();
        crowd.make_room();
        assert_eq!(going(), 1);
        let first = phases.iter().position(Phase::is_going).unwrap();
        drop(places.remove(first));
        crowd.make_room();
        assert_eq!(going(), 2, "the next, once the first has gone");
    }

    fn idle(network: u8, for_ms: u64, stranger: bool) -> Idle<(u8, u64)> {
        Idle { network: IpAddr::from([10, 0, 0, network]), for_ms, stranger, what: (network, for_ms) }
    }

    #[test]
    fn strangers_go_first_then_those_of_the_greatest_crowd_then_the_idlest() {
        let mut all = vec![idle(1, 70_000, false), idle(2, 4_000, true)];
        assert_eq!(who_goes(all), [(2, 4_000)], "however short a stranger is here");
        all = vec![idle(2, 4_000, true), idle(3, 5, true), idle(3, 7, true), idle(3, 6, true), idle(1, 70_000, false)];
        assert_eq!(who_goes(all), [(3, 7)], "the many of one address before the one of another");
        all = vec![idle(1, 20, false), idle(1, 30, false), idle(2, 10, false)];
        assert_eq!(who_goes(all), [(1, 30)], "with no stranger the idlest, and only one");
        assert_eq!(who_goes(Vec::<Idle<()>>::new()), []);
    }

    #[test]
    fn of_many_strangers_a_part_goes_and_the_others_of_few_stay() {
        let mut all: Vec<_> = (0..160).map(|number| idle(9, number, true)).collect();
        all.push(idle(1, 90_000, true));
        let mut gone = who_goes(all);
        gone.sort_unstable();
        assert_eq!(gone, (150..160).map(|number| (9, number)).collect::<Vec<_>>());
    }
}
