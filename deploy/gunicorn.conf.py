"""For those who run gunicorn themselves: ``gunicorn -c deploy/gunicorn.conf.py``. Its values: receiver/server.py."""

import os

from receiver.server import options
from workers import logs, notify
from workers.notify import Notifier
from workers.settings import Settings

_settings = Settings.from_env(os.environ)
logs.configure(_settings)

wsgi_app = "receiver.wsgi:app()"
globals().update(options(_settings, Notifier(os.environ.get(notify.VARIABLE))))
