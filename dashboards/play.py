"""Seven minutes of a relay's life, and the picture of it: docs/images/dashboard.png.

    python3 -m venv target/picture && target/picture/bin/pip install -r dashboards/requirements.txt
    target/picture/bin/python dashboards/play.py target/debug/wiza-relay

A real relay with the repository's routes.yaml gets webhooks from `wiza-relay send`, and a real Prometheus scrapes it. The
CRM is down for two minutes, so that its breaker opens; when it is back it refuses some events for a while, which die; then
it takes them, and the dead are redriven. render.py then draws the dashboard's own queries.
"""

import itertools
import json
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import render

ROOT = Path(__file__).parent.parent
# In seconds from the beginning.
LENGTH = 420
RELOAD_AT = 45
CRM_IS_DOWN = range(80, 205)
CRM_REFUSES = range(265, 310)
REDRIVE_AT = 360
# What a destination takes to answer, in seconds: the middle of a skewed distribution.
USUAL_TIME = {"/crm": 0.030, "/slack": 0.080, "/dialler": 0.045, "/warehouse": 0.006}


class Receivers(ThreadingHTTPServer):
    """All destinations, told apart by their path."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Receiver)
        self.started = time.monotonic()
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        second = int(time.monotonic() - self.server.started)
        name = "/" + self.path.split("/")[1]
        time.sleep(USUAL_TIME[name] * random.lognormvariate(0, 0.5))
        status = 200
        if name == "/crm" and second in CRM_IS_DOWN:
            status = 503
        if name == "/crm" and second in CRM_REFUSES and random.random() < 0.2:
            status = 422
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url):
    for _ in range(600):
        try:
            return urllib.request.urlopen(url, timeout=1).read()
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{url} does not answer")


def main(binary):
    folder = Path(tempfile.mkdtemp(prefix="wiza-relay-picture-"))
    receivers = Receivers()
    webhooks, admin, prometheus = free_port(), free_port(), free_port()
    to = f"http://127.0.0.1:{receivers.server_port}"
    environment = {
        "PATH": os.environ["PATH"],
        "WIZA_API_KEY": "a-key-for-the-picture",
        "RETRY_FIRST": "1s",
        "CRM_TOKEN": "a-token",
        "SLACK_WEBHOOK_URL": f"{to}/slack",
        "CRM_URL": f"{to}/crm",
        "DIALLER_URL": f"{to}/dialler",
        "WAREHOUSE_URL": f"{to}/warehouse",
        "WIZA_RELAY_ADMIN_URL": f"http://127.0.0.1:{admin}",
        "WIZA_RELAY_URL": f"http://127.0.0.1:{webhooks}/webhooks/wiza",
    }
    rules = folder / "routes.yaml"
    # More than a trickle comes, so Slack takes more than one a second here.
    rules.write_text((ROOT / "routes.yaml").read_text().replace("rate: 1/s", "rate: 20/s"))
    (folder / "samples").symlink_to(ROOT / "samples")
    (folder / "prometheus.yaml").write_text(
        json.dumps(
            {
                "global": {"scrape_interval": f"{render.SCRAPE_INTERVAL}s", "evaluation_interval": f"{render.SCRAPE_INTERVAL}s"},
                "rule_files": [str(ROOT / "alerts/rules.yaml")],
                "scrape_configs": [{"job_name": "wiza-relay", "static_configs": [{"targets": [f"127.0.0.1:{admin}"]}]}],
            }
        )
    )

    def run(*arguments):
        return subprocess.Popen([binary, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    watching = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder}/prometheus.yaml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
        stderr=subprocess.DEVNULL,
    )
    relay = run(
        "serve",
        "--config",
        str(rules),
        "--store",
        str(folder / "store"),
        "--listen",
        f"127.0.0.1:{webhooks}",
        "--admin",
        f"127.0.0.1:{admin}",
        "--audit-interval",
        "1m",
    )
    try:
        wait_for(f"http://127.0.0.1:{admin}/readyz")
        wait_for(f"http://127.0.0.1:{prometheus}/-/ready")
        receivers.started, begun = time.monotonic(), time.time()
        still_to_do = [
            (RELOAD_AT, lambda: rules.write_text(rules.read_text() + "# Read anew.\n")),
            (REDRIVE_AT, lambda: run("redrive", "--destination", "crm", "--yes", "--rate", "5")),
        ]
        for step in itertools.count():
            second = int(time.monotonic() - receivers.started)
            if second >= LENGTH:
                break
            while still_to_do and second >= still_to_do[0][0]:
                still_to_do.pop(0)[1]()
            # Busier and quieter, ten seconds at a time.
            rate = round(14 + 5 * math.sin(step / 4) + random.uniform(-1, 1))
            if step % 5 == 0:
                run("send", "--same", "--count", "7").wait()
            run("send", "--rate", str(rate), "--count", str(rate * 10), "--concurrency", "4").wait()
            print(f"\r{second} of {LENGTH} s", end="", file=sys.stderr, flush=True)
        # What was under way ends, and is scraped.
        time.sleep(2 * render.SCRAPE_INTERVAL)
        render.draw(f"http://127.0.0.1:{prometheus}", begun, time.time(), "crm", ROOT / "docs/images/dashboard.png")
    finally:
        for process in (relay, watching):
            process.terminate()
            process.wait()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(str(Path(sys.argv[1]).resolve()))
