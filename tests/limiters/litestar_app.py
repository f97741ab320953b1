"""Litestar's own middleware: one request a second. It sends `RateLimit-Reset` and no `Retry-After`."""

import sys

import uvicorn
from litestar import Litestar, post
from litestar.middleware.rate_limit import RateLimitConfig


@post("/crm", status_code=200)
async def crm() -> str:
    return "taken"


limit = RateLimitConfig(rate_limit=("second", 1))
uvicorn.run(Litestar([crm], middleware=[limit.middleware]), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
