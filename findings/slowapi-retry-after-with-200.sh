#!/usr/bin/env bash
# slowapi 0.1.10 (rate limits for Starlette and FastAPI), limits 5.8.0, starlette 1.10.0, Python 3.9 or newer.
#
# Guess:   `Retry-After` comes with the 429, as RFC 9110 has it for a request that was not taken.
# Reality: with `headers_enabled=True` every reply has it, the 200 of a request that was taken too. With
#          `retry_after="http-date"` it is a date that ends in `-0000`, which RFC 9110 does not have.
# Matters: a relay that reads `Retry-After` of any reply holds its destination back after each event that arrived. It must be
#          read of replies that are no 2xx alone; and a date is not to be refused for its `-0000`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check slowapi==0.1.10 limits==5.8.0 starlette==1.10.0 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import re, sys

from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

limiter = Limiter(key_func=lambda: "all", headers_enabled=True, retry_after="http-date")


@limiter.limit("1/minute")
async def take(request: Request) -> PlainTextResponse:
    return PlainTextResponse("taken")


app = Starlette(routes=[Route("/", take, methods=["POST"])])
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
client = TestClient(app)
seen = [client.post("/") for _ in range(2)]
for reply in seen:
    print(reply.status_code, "retry-after:", reply.headers.get("retry-after"))
date = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d -0000")
as_told = [reply.status_code for reply in seen] == [200, 429] and all(date.fullmatch(reply.headers.get("retry-after", "")) for reply in seen)
sys.exit(0 if as_told else 1)
PYTHON
