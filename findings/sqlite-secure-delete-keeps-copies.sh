#!/usr/bin/env bash
# SQLite 3.54.1, by apsw 3.54.1.0, Python 3.10 or newer.
#
# Guess:   with `PRAGMA secure_delete = ON` nothing of a deleted row is left in the file once the log is emptied, because "SQLite
#          overwrites deleted content with zeros".
# Reality: the deleted cell is overwritten. Copies of it are not, which stay in the unused part of a page whose cells moved to a
#          neighbour when the tree was balanced. They are there where rows that stay stand among rows that go.
# Matters: a relay keeps dead letters for longer than what was delivered, so its tables look so. Personal data of deleted events
#          stays in the raw file, and a promise that rests on the pragma alone is broken. The unused parts of pages must be cleared too.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import random, re, sys

import apsw

print("SQLite", apsw.sqlite_lib_version())
random.seed(1)
database = apsw.Connection("rows.db")
for pragma in ("journal_mode = WAL", "wal_autocheckpoint = 0", "synchronous = OFF"):
    database.execute(f"PRAGMA {pragma}")
print("secure_delete =", database.execute("PRAGMA secure_delete = ON").fetchone()[0])
database.execute("CREATE TABLE replies (event INTEGER, destination INTEGER, reply BLOB, PRIMARY KEY (event, destination)) WITHOUT ROWID")
rows = 3000
with database:
    # Replies come later than their events and in no order, so pages are divided.
    for number in random.sample(range(rows), rows):
        reply = b"<row%06d>" % number + b"y" * random.randint(0, 900)
        database.execute("INSERT INTO replies VALUES (?, 0, ?)", (number, reply))
kept = {number for number in range(rows) if random.random() < 0.5}
with database:
    for number in set(range(rows)) - kept:
        database.execute("DELETE FROM replies WHERE event = ?", (number,))
print("log emptied: (busy, pages, moved) =", database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
database.close()
in_file = {int(number) for number in re.findall(rb"<row(\d{6})>", open("rows.db", "rb").read())}
left = in_file - kept
print(f"{rows - len(kept)} rows deleted, {len(left)} of them still in the file")
sys.exit(0 if left else 1)
PYTHON
