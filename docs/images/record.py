"""Draws docs/images/demo.svg: what `wiza-relay demo --once` prints, in its colours.

    python3 -m venv target/picture && target/picture/bin/pip install rich==15.0.0
    target/picture/bin/python docs/images/record.py target/release/wiza-relay

The text is the demo's own. So that the picture fits a screen, only the samples in SHOWN are kept, and long lines end in `…`.
"""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS = 118
SHOWN = ("valid", "failed", "phone")


def recorded(program):
    """Everything that the demo writes to a terminal of COLUMNS columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen([program, "demo", "--once"], stdout=theirs, stderr=theirs, env=environment) as demo:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed.
                break
            if not part:
                break
            parts.append(part)
    if demo.returncode != 0:
        sys.exit(f"the demo ended with {demo.returncode}")
    return b"".join(parts).decode().replace("\r\n", "\n")


def chosen(text):
    """The lines about the shown samples, and the lines that are about no sample."""
    lines = [(line, re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in text.splitlines()]
    sample, of_event = None, {}
    for _, plain in lines:
        if posted := re.search(r"posts the sample `(\w+)`", plain):
            sample = posted[1]
        elif stored := re.search(r"stored …(\w+)", plain):
            of_event[stored[1]] = sample

    def about(place, plain):
        if posted := re.search(r"posts the sample `(\w+)`", plain):
            return posted[1]
        if named := re.search(r"…([0-9a-f]+)( ->| on disk)", plain):
            return of_event.get(named[1])
        # A receiver does not know the event. The relay says next which event it delivered there.
        if got := re.search(r"Z?\s*([\w-]+) +got ", plain):
            later = (re.search(rf"delivered +…([0-9a-f]+) -> {got[1]} ", next_line) for _, next_line in lines[place:])
            return next((of_event.get(found[1]) for found in later if found), None)
        return SHOWN[0]

    return [line for place, (line, plain) in enumerate(lines) if about(place, plain) in SHOWN]


def main():
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)
    console.print(Text("$ wiza-relay demo --once"))
    for line in chosen(recorded(sys.argv[1])):
        console.print(Text.from_ansi(line), overflow="ellipsis", no_wrap=True, crop=True)
    picture = Path(__file__).parent / "demo.svg"
    drawn = console.export_svg(title="wiza-relay", theme=MONOKAI)
    # A picture loads nothing from elsewhere: the reader's own monospaced font is used.
    picture.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.S).replace("Fira Code, monospace", "monospace"))


main()
