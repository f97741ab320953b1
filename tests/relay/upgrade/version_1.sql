-- The tables of the store's first version, as released.
CREATE TABLE rules (key INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, first_used_at INTEGER NOT NULL) STRICT;
CREATE TABLE routes (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE destinations (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, active INTEGER NOT NULL DEFAULT 1,
  planned INTEGER NOT NULL DEFAULT 0, redriven INTEGER NOT NULL DEFAULT 0,
  delivered INTEGER NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0, dead_kept INTEGER NOT NULL DEFAULT 0,
  frontier INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY, id BLOB NOT NULL, received_at INTEGER NOT NULL, status INTEGER NOT NULL,
  rules INTEGER, type TEXT, path TEXT NOT NULL, query TEXT NOT NULL,
  routes TEXT NOT NULL, plan TEXT NOT NULL, note TEXT, body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_id ON events (id);
CREATE INDEX events_quarantined ON events (sequence) WHERE status = 2;
CREATE TABLE deliveries (
  event INTEGER NOT NULL, destination INTEGER NOT NULL, route INTEGER, state INTEGER NOT NULL, attempts INTEGER NOT NULL,
  due_at INTEGER, settled_at INTEGER NOT NULL, latency_us INTEGER, last_status INTEGER, last_error TEXT,
  PRIMARY KEY (event, destination)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_due ON deliveries (destination, due_at, event) WHERE state = 1;
CREATE INDEX deliveries_retrying ON deliveries (destination, event) WHERE state = 1;
CREATE INDEX deliveries_dead ON deliveries (destination, event) WHERE state = 3;
CREATE TABLE attempts (
  event INTEGER NOT NULL, destination INTEGER NOT NULL, number INTEGER NOT NULL,
  started_at INTEGER NOT NULL, latency_us INTEGER NOT NULL, status INTEGER, error TEXT, reply BLOB,
  PRIMARY KEY (event, destination, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE dedupe_log (sequence INTEGER PRIMARY KEY, at INTEGER NOT NULL, entries BLOB NOT NULL) STRICT;
