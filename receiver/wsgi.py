"""Connects the web application. ``gunicorn -c deploy/gunicorn.conf.py`` calls ``app()`` in each worker process."""

import atexit
import os

from flask import Flask

from receiver.app import create_app
from workers import logs
from workers.connections import web_redis
from workers.drain import Drain
from workers.settings import Settings
from workers.wiring import build, redis_url


def app() -> Flask:
    """Build from the environment. Raises InvalidSettings."""
    settings = Settings.from_env(os.environ)
    logs.configure(settings)
    return connected(settings)


def connected(settings: Settings) -> Flask:
    """Connect in the process that calls: connections and threads do not survive a fork."""
    services = build(settings, web_redis(redis_url(settings)))
    drain = Drain(services.intake)
    drain.start()
    atexit.register(drain.stop)
    return create_app(services)
