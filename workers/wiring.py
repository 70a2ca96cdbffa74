"""The one place where settings become connected parts."""

import random
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from workers import swiftia as wire
from workers.artifacts import Artifacts
from workers.attempts import Attempts, Patience
from workers.budget import Budget
from workers.catalog import Catalog
from workers.downloads import Downloads
from workers.errors import InvalidSettings
from workers.guarded import guarded_client
from workers.intake import Intake
from workers.keyring import Keyring, open_keyring
from workers.ledger import Ledger
from workers.rules import Rules, read_rules
from workers.settings import Settings
from workers.spool import Spool
from workers.steps import Tools
from workers.submissions import Chance, Submissions
from workers.swiftia import Swiftia
from workers.tokens import new_ref, shared_token, token
from workers.valkey import url as embedded_url

_DOWNLOAD_DEADLINE_S = 3 * 3600.0
# Without a key nothing can be asked of Swiftia: it answers 401, upstream work waits, and the door goes on.
_NO_KEY = "no-key-is-set"


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the web process, the workers and the clock work with."""

    settings: Settings
    redis: Redis
    keyring: Keyring
    ledger: Ledger
    intake: Intake
    catalog: Catalog
    budget: Budget
    swiftia: Swiftia
    artifacts: Artifacts
    submissions: Submissions
    attempts: Attempts


def build(settings: Settings, redis: Redis) -> Services:
    """Connect everything. ``redis`` comes from ``connections``: the web's is impatient, the workers' is not."""
    keyring = open_keyring(settings)
    ledger = Ledger(redis, ack_replicas=settings.ack_replicas)
    budget = Budget(redis, settings.rate_limit)
    swiftia = _swiftia(settings)
    artifacts = Artifacts.open(settings.artifacts_url)
    tools = Tools(
        ledger=ledger,
        budget=budget,
        swiftia=swiftia,
        artifacts=artifacts,
        downloads=_downloads(settings),
        rules=_rules(settings.render_rules),
        keep_videos=settings.keep_videos,
        retry_when_unsure=settings.render_when_unsure == "retry",
        reconcile_after_s=settings.reconcile_after,
        webhook_url=lambda ref: webhook_url(settings, token(ref, keyring.callback_secrets())),
    )
    submissions = Submissions(
        tools,
        redis,
        patience_s=settings.submit_patience,
        chance=Chance(new_ref=lambda: new_ref(secrets.token_bytes)),
        shared_url=webhook_url(settings, shared_token(keyring.callback_secrets())),
    )
    patience = Patience(settings.max_attempts, settings.retry_base, settings.retry_cap, random.random)
    attempts = Attempts(tools, patience, now=time.monotonic)
    return Services(
        settings=settings,
        redis=redis,
        keyring=keyring,
        ledger=ledger,
        intake=open_intake(settings, ledger),
        catalog=Catalog(redis),
        budget=budget,
        swiftia=swiftia,
        artifacts=artifacts,
        submissions=submissions,
        attempts=attempts,
    )


def open_intake(settings: Settings, ledger: Ledger) -> Intake:
    """Touches nothing yet: the spool is made when the door first looks into it."""
    spool = Spool(spool_path(settings), max_bytes=settings.spool_max_bytes)
    return Intake(ledger, spool, now=time.monotonic)


def spool_path(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "spool" / "callbacks.sqlite"


def webhook_url(settings: Settings, callback_token: str) -> str:
    return f"{settings.callback_base}/webhooks/swiftia/{callback_token}"


def redis_url(settings: Settings) -> str:
    """The Redis that was named, or the embedded server's socket."""
    if settings.redis_url is not None:
        return settings.redis_url.get_secret_value()
    return embedded_url(valkey_directory(settings))


def valkey_directory(settings: Settings) -> Path:
    return settings.data_dir.absolute() / "valkey"


def _swiftia(settings: Settings) -> Swiftia:
    key = settings.swiftia_api_key.get_secret_value() if settings.swiftia_api_key else _NO_KEY
    return Swiftia(wire.client(settings.swiftia_base_url, key), max_result_bytes=settings.max_result_bytes)


def _downloads(settings: Settings) -> Downloads:
    client = guarded_client(trusted=settings.trusted_networks)
    return Downloads(client, max_bytes=settings.max_video_bytes, deadline_s=_DOWNLOAD_DEADLINE_S)


def _rules(path: Path | None) -> Rules:
    if path is None:
        return {}
    try:
        return read_rules(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings([f"RENDER_RULES={str(path)!r} cannot be read: {error}"]) from None
