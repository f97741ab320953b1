//! The open connections of one client: of each origin those of HTTP/1.1 that are idle, and those of HTTP/2 that are shared.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Turn;
use url::Url;

use super::connection::{Http1, Http2, Opened};
use super::message::Origin;
use super::trail::Arrivals;

/// Origins whose connections are kept, where a template makes the host. Those unused for longest lose theirs.
const ORIGINS_MAX: usize = 64;
/// So many connections are passed over, as they are not ready yet, before one of them is waited for.
const PASSED_OVER_MAX: usize = 4;
/// How often idle connections are looked at, while there are any.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    /// Idle connections of HTTP/1.1 that an origin keeps at most.
    idle_max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last used is the last.
    lines: Vec<Line>,
    /// Raised where all that was opened before is not to be used any more.
    generation: u64,
    /// Whether somebody looks after what is idle.
    is_looked_after: bool,
}

/// An origin's connections.
#[derive(Debug)]
struct Line {
    origin: Arc<Origin>,
    idle: Vec<Http1>,
    shared: Vec<Shared>,
    /// What the origin spoke the last time.
    is_http_1: bool,
    turn: Arc<Turn<()>>,
}

#[derive(Debug)]
struct Shared {
    connection: Arc<Http2>,
    active: usize,
    idle_since: Instant,
}

/// A connection while a request is under way on it.
pub(super) struct Lease {
    pool: Arc<Pool>,
    generation: u64,
    origin: Arc<Origin>,
    /// `None` once it was given back or thrown away.
    held: Option<Held>,
    /// Whether the head of an answer came, so that the connection is known to be alive.
    pub is_answered: bool,
}

/// The connection itself.
pub(super) enum Held {
    Http1(Http1),
    /// Whether it carried other requests before.
    Http2(Arc<Http2>, bool),
}

impl Pool {
    pub fn new(idle_max: usize) -> Arc<Self> {
        Arc::new(Self { idle_max, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The origin of a URL, and an open connection to it if there is one. `None` where the URL has no host.
    pub fn take(self: &Arc<Self>, url: &Url) -> Option<(Arc<Origin>, Option<Lease>)> {
        let now = Instant::now();
        // Closed outside of the lock.
        let mut unusable = Vec::new();
        let mut state = self.state();
        let generation = state.generation;
        let Some(line) = state.lines.iter_mut().find(|line| line.origin.is_of(url)) else {
            return Origin::of(url).map(|origin| (Arc::new(origin), None));
        };
        let origin = Arc::clone(&line.origin);
        let held = line.take_idle(now, &mut unusable).map(Held::Http1).or_else(|| line.take_shared(now, None));
        drop(state);
        let lease = held.map(|held| self.lease(&origin, generation, held));
        Some((origin, lease))
    }

    /// A shared connection to this origin that was opened after this moment.
    pub fn take_younger(self: &Arc<Self>, origin: &Arc<Origin>, moment: Option<Instant>) -> Option<Lease> {
        let mut state = self.state();
        let generation = state.generation;
        let held = state.line(origin)?.take_shared(Instant::now(), moment)?;
        Some(self.lease(origin, generation, held))
    }

    /// Whose turn it is to connect, where connections can be shared: one is made at a time. `None` where the origin speaks HTTP/1.1.
    pub fn turn(&self, origin: &Arc<Origin>) -> Option<Arc<Turn<()>>> {
        if !origin.is_secure {
            return None;
        }
        let mut state = self.state();
        let line = state.line_or_new(origin);
        (!line.is_http_1).then(|| Arc::clone(&line.turn))
    }

    /// What is opened from now on counts as opened then.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// Takes up a connection that was just opened, for its first request.
    pub fn add(self: &Arc<Self>, origin: &Arc<Origin>, generation: u64, opened: Opened) -> Lease {
        let held = match opened {
            Opened::Http1(connection) => {
                if origin.is_secure {
                    self.state().line_or_new(origin).is_http_1 = true;
                }
                Held::Http1(connection)
            }
            Opened::Http2(connection) => {
                let connection = Arc::new(connection);
                let is_used = connection.begin();
                let mut state = self.state();
                if state.generation == generation {
                    let line = state.line_or_new(origin);
                    line.is_http_1 = false;
                    line.shared.push(Shared { connection: Arc::clone(&connection), active: 1, idle_since: Instant::now() });
                    self.look_after(&mut state);
                }
                Held::Http2(connection, is_used)
            }
        };
        self.lease(origin, generation, held)
    }

    fn lease(self: &Arc<Self>, origin: &Arc<Origin>, generation: u64, held: Held) -> Lease {
        Lease { pool: Arc::clone(self), generation, origin: Arc::clone(origin), held: Some(held), is_answered: false }
    }

    /// Lets nothing go over the connections that are open now. Requests under way on them are not disturbed.
    pub fn begin_anew(&self) {
        let mut state = self.state();
        state.generation += 1;
        let lines = std::mem::take(&mut state.lines);
        drop(state);
        for shared in lines.iter().flat_map(|line| &line.shared) {
            shared.connection.retire();
        }
    }

    /// A request got no answer in time: the way there may be dead, and with it whatever is idle.
    fn distrust(&self, origin: &Arc<Origin>) {
        let mut state = self.state();
        let idle = state.line(origin).map(|line| std::mem::take(&mut line.idle));
        drop(state);
        drop(idle);
    }

    /// Keeps a connection of HTTP/1.1 that is idle now.
    fn keep(self: &Arc<Self>, origin: &Arc<Origin>, generation: u64, mut connection: Http1) {
        let now = Instant::now();
        connection.rest(now);
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        let line = state.line_or_new(origin);
        if line.idle.len() < self.idle_max && connection.is_usable(now) {
            line.idle.push(connection);
            self.look_after(&mut state);
        }
    }

    /// Has somebody close what is idle for too long.
    fn look_after(self: &Arc<Self>, state: &mut State) {
        if !state.is_looked_after {
            state.is_looked_after = true;
            tokio::spawn(look(Arc::downgrade(self)));
        }
    }
}

async fn look(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Some(pool) = pool.upgrade() else { return };
        let now = Instant::now();
        let mut closed = Vec::new();
        let mut state = pool.state();
        for line in &mut state.lines {
            closed.extend(line.idle.extract_if(.., |connection| !connection.is_usable(now)));
            line.shared.retain(|shared| shared.is_usable(now));
        }
        if state.lines.iter().all(|line| line.idle.is_empty() && line.shared.is_empty()) {
            state.is_looked_after = false;
            return;
        }
    }
}

impl State {
    fn line(&mut self, origin: &Origin) -> Option<&mut Line> {
        self.lines.iter_mut().find(|line| *line.origin == *origin)
    }

    fn line_or_new(&mut self, origin: &Arc<Origin>) -> &mut Line {
        let place = match self.lines.iter().position(|line| line.origin == *origin) {
            Some(place) => place,
            None => {
                if self.lines.len() >= ORIGINS_MAX {
                    self.lines.remove(0);
                }
                let (idle, shared, turn) = (Vec::new(), Vec::new(), Arc::default());
                self.lines.push(Line { origin: Arc::clone(origin), idle, shared, is_http_1: false, turn });
                self.lines.len() - 1
            }
        };
        // The one that was used last goes to the end.
        let last = self.lines.len() - 1;
        if place != last {
            self.lines[place..].rotate_left(1);
        }
        &mut self.lines[last]
    }
}

impl Line {
    /// The connection that was used last, and of the last ones rather one that is ready than one that is about to be.
    fn take_idle(&mut self, now: Instant, unusable: &mut Vec<Http1>) -> Option<Http1> {
        let mut passed_over = Vec::new();
        let mut found = None;
        while let Some(connection) = self.idle.pop() {
            if !connection.is_usable(now) {
                unusable.push(connection);
            } else if connection.is_ready() {
                found = Some(connection);
                break;
            } else {
                passed_over.push(connection);
                if passed_over.len() == PASSED_OVER_MAX {
                    break;
                }
            }
        }
        let found = found.or_else(|| passed_over.pop());
        self.idle.extend(passed_over.into_iter().rev());
        found
    }

    fn take_shared(&mut self, now: Instant, younger_than: Option<Instant>) -> Option<Held> {
        self.shared.retain(|shared| shared.is_usable(now));
        let shared = self.shared.iter_mut().find(|shared| {
            let is_young = younger_than.is_none_or(|moment| shared.connection.is_younger_than(moment));
            is_young && shared.connection.has_room(now, shared.active)
        })?;
        shared.active += 1;
        let is_used = shared.connection.begin();
        Some(Held::Http2(Arc::clone(&shared.connection), is_used))
    }
}

impl Shared {
    fn is_usable(&self, now: Instant) -> bool {
        self.connection.is_usable(now, self.active, self.idle_since)
    }
}

impl Lease {
    /// The connection.
    pub fn held(&mut self) -> Option<&mut Held> {
        self.held.as_mut()
    }

    /// Whether the connection carried a request before.
    pub fn is_used(&self) -> bool {
        match &self.held {
            Some(Held::Http1(connection)) => connection.is_used(),
            Some(Held::Http2(_, is_used)) => *is_used,
            None => false,
        }
    }

    /// What comes over the connection, if it gave an answer before.
    pub fn proven(&self) -> Option<Arrivals> {
        match self.held.as_ref()? {
            Held::Http1(connection) => connection.proven(),
            Held::Http2(connection, _) => connection.proven(),
        }
    }

    /// The whole answer was read: the connection can be used again.
    pub fn give_back(mut self) {
        if let Some(Held::Http1(connection)) = self.held.take_if(|held| matches!(held, Held::Http1(_))) {
            self.pool.keep(&self.origin, self.generation, connection);
        }
    }

    /// Whether a request can go over it now or in a moment.
    pub async fn is_ready(&mut self) -> bool {
        match &mut self.held {
            Some(Held::Http1(connection)) => connection.is_ready_soon().await,
            Some(Held::Http2(..)) => true,
            None => false,
        }
    }

    /// The connection is not to be used again, and that says nothing about others.
    pub fn discard(mut self) {
        if let Some(Held::Http2(connection, _)) = &self.held {
            connection.retire();
        }
        self.is_answered = true;
    }
}

/// Dropped without an answer, its time was over: nothing more goes over that connection.
impl Drop for Lease {
    fn drop(&mut self) {
        match self.held.take() {
            None => {}
            Some(Held::Http1(connection)) => {
                drop(connection);
                if !self.is_answered {
                    self.pool.distrust(&self.origin);
                }
            }
            Some(Held::Http2(connection, _)) => {
                if !self.is_answered {
                    connection.retire();
                }
                let mut state = self.pool.state();
                let line = state.line(&self.origin);
                let shared = line.and_then(|line| line.shared.iter_mut().find(|shared| Arc::ptr_eq(&shared.connection, &connection)));
                if let Some(shared) = shared {
                    shared.active = shared.active.saturating_sub(1);
                    shared.idle_since = Instant::now();
                }
            }
        }
    }
}
