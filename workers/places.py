"""Where things are, as the settings have it."""

from pathlib import Path

from workers.settings import Settings
from workers.valkey import url as embedded_url


def redis_url(settings: Settings) -> str:
    """The Redis that was named, or the embedded server's socket."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    return embedded_url(valkey_directory(settings))


def valkey_directory(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "valkey"


def spool_path(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "spool" / "callbacks.sqlite"
