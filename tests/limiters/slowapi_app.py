"""slowapi: one request a second, with `Retry-After` as a date, as it is without `headers_enabled` being told otherwise."""

import sys

import uvicorn
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

limiter = Limiter(key_func=lambda: "all", headers_enabled=True, retry_after="http-date")


@limiter.limit("1/second")
async def crm(request: Request) -> PlainTextResponse:
    return PlainTextResponse("taken")


app = Starlette(routes=[Route("/crm", crm, methods=["POST"])])
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
