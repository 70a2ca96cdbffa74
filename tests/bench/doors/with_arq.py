"""FastAPI on uvicorn, and arq: ``enqueue_job`` in a view."""

import os
from contextlib import asynccontextmanager
from urllib.parse import unquote

from arq import create_pool
from arq.connections import RedisSettings
from fastapi import FastAPI, Request


def settings() -> RedisSettings:
    url = os.environ["REDIS_URL"]
    if url.startswith("unix://"):
        return RedisSettings(unix_socket_path=unquote(url.removeprefix("unix://")))
    return RedisSettings.from_dsn(url)


@asynccontextmanager
async def connected(app: FastAPI):
    app.state.queue = await create_pool(settings())
    yield
    await app.state.queue.aclose()


app = FastAPI(lifespan=connected)


@app.post("/webhooks/swiftia/{token}", status_code=202)
async def taken(token: str, request: Request):
    job = await app.state.queue.enqueue_job("process", token, await request.json())
    return {"job": job.job_id}
