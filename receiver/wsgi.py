"""Connects the web application. ``gunicorn -c deploy/gunicorn.conf.py`` calls ``app()`` in each worker process."""

import atexit
import os

from flask import Flask

from receiver.app import create_app
from receiver.broadcast import BROADCAST
from workers import exporting, logs
from workers.connections import web_redis
from workers.drain import Drain
from workers.places import redis_url
from workers.presence import WEB, keep_present
from workers.settings import Settings
from workers.wiring import build


def app() -> Flask:
    """Build from the environment. Raises InvalidSettings."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings)
    return connected(settings)


def connected(settings: Settings) -> Flask:
    """Connect in the process that calls: connections and threads do not survive a fork."""
    exporting.start("web")
    redis = web_redis(redis_url(settings))
    services = build(settings, redis)
    keep_present(redis, WEB)
    drain = Drain(services.intake)
    drain.start()
    atexit.register(drain.stop)
    app = create_app(services)
    atexit.register(app.extensions[BROADCAST].stop)
    return app
