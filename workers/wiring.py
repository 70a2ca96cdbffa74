"""The one place where settings become connected parts."""

import random
import secrets
import time

from redis import Redis

from workers.accounts import Account, Accounts
from workers.artifacts import Artifacts
from workers.attempts import Attempts, Patience
from workers.budget import Budget
from workers.catalog import Catalog
from workers.destinations import Destinations
from workers.downloads import Downloads
from workers.errors import InvalidSettings
from workers.guarded import guarded_client
from workers.handlers import handler_name, load_handler
from workers.intake import Intake
from workers.keyring import Keyring, open_keyring
from workers.ledger import Ledger
from workers.links import Links
from workers.memory import Memory
from workers.outbox import HANDLER, Outbox, target_of
from workers.places import spool_path
from workers.roster import read_all
from workers.schedule import give_up_after
from workers.services import Services
from workers.settings import Settings
from workers.signing import parse_secret
from workers.spool import Spool
from workers.steps import Tools
from workers.submissions import Chance, Submissions
from workers.swiftia import Swiftia, wire
from workers.tokens import new_ref, shared_token, token
from workers.upstreams import Upstream, Upstreams

_DOWNLOAD_DEADLINE_S = 3 * 3600.0
# Without a key nothing can be asked of Swiftia: it answers 401, upstream work waits, and the door goes on.
_NO_KEY = "no-key-is-set"


def build(settings: Settings, redis: Redis, *, with_handler: bool = False, chance: Chance | None = None) -> Services:
    """Connect everything. ``redis`` comes from ``connections``: the web's is impatient, the workers' is not.

    ``with_handler``: import the handler, which only who calls it needs. ``chance``: of submissions, if not the usual.
    """
    keyring = open_keyring(settings)
    accounts = read_all(settings)
    ledger = open_ledger(settings, accounts, redis)
    upstreams = _upstreams(settings, accounts, redis)
    artifacts = Artifacts.open(settings.artifacts_url, staging=settings.staging, spare=settings.min_free_bytes)
    tools = Tools(
        ledger=ledger,
        upstreams=upstreams,
        artifacts=artifacts,
        memory=Memory(redis),
        downloads=_downloads(settings),
        destinations=_destinations(settings, accounts, keyring, with_handler=with_handler),
        delivery_first_s=settings.delivery_retry_base,
        delivery_patience_s=settings.delivery_patience,
        chance=random.random,
        keep_videos=settings.keep_videos,
        retry_when_unsure=settings.render_when_unsure == "retry",
        reconcile_after_s=settings.reconcile_after,
        give_up_after_s=give_up_after(archive_s=settings.archive_s),
        webhook_url=lambda ref: webhook_url(settings, token(ref, keyring.callback_secrets())),
    )
    chance = chance or Chance(new_ref=lambda: new_ref(secrets.token_bytes))
    links = Links(
        ledger,
        upstreams,
        redis,
        new_ref=chance.new_ref,
        webhook_url=tools.webhook_url,
        shared_url=lambda account: webhook_url(settings, shared_token(keyring.callback_secrets(), account)),
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
        upstreams=upstreams,
        artifacts=artifacts,
        submissions=Submissions(tools, redis, patience_s=settings.submit_patience, chance=chance),
        links=links,
        attempts=attempts,
    )


def open_ledger(settings: Settings, accounts: Accounts, redis: Redis) -> Ledger:
    if settings.free_upstream and not settings.keep_videos:
        raise InvalidSettings(["FREE_UPSTREAM deletes at Swiftia what KEEP_VIDEOS=false leaves there alone; unset one"])
    return Ledger(
        redis,
        ack_replicas=settings.ack_replicas,
        several=accounts.several,
        outbox=_outbox(settings, accounts),
        frees=settings.free_upstream,
    )


def _outbox(settings: Settings, accounts: Accounts) -> Outbox:
    handler = handler_name(settings.handler)
    if handler and settings.delivery_url:
        raise InvalidSettings(["DELIVERY_URL is set, and there is a HANDLER too; keep one of them"])
    usual = target_of(settings.delivery_url) if settings.delivery_url else HANDLER if handler else ""
    targets = {
        name: target_of(account.delivery_url) if account.delivery_url else usual
        for name, account in {**accounts.by_name, "": accounts.of("")}.items()
        if account is not None
    }
    return Outbox({name: target for name, target in targets.items() if target}, frozenset(settings.delivery_events))


def _destinations(settings: Settings, accounts: Accounts, keyring: Keyring, *, with_handler: bool) -> Destinations:
    own = {name: account for name, account in {**accounts.by_name, "": accounts.of("")}.items() if account is not None}
    urls = {name: account.delivery_url or settings.delivery_url for name, account in own.items()}
    named = handler_name(settings.handler) if with_handler else ""
    return Destinations(
        guarded_client(trusted=settings.trusted_networks, total_s=settings.delivery_timeout),
        urls={name: url for name, url in urls.items() if url},
        secrets={name: _signers(account, keyring) for name, account in own.items()},
        handler=load_handler(named) if named else None,
        timeout_s=settings.delivery_timeout,
        now=time.time,
        clock=time.monotonic,
    )


def _signers(account: Account, keyring: Keyring) -> list[bytes]:
    own = account.delivery_secret
    return [parse_secret(own.get_secret_value())] if own else keyring.delivery_bytes()


def open_intake(settings: Settings, ledger: Ledger) -> Intake:
    """Touches nothing yet: the spool is made when the door first looks into it."""
    spool = Spool(spool_path(settings), max_bytes=settings.spool_max_bytes)
    return Intake(ledger, spool, now=time.monotonic)


def webhook_url(settings: Settings, callback_token: str) -> str:
    return f"{settings.callback_base}/webhooks/swiftia/{callback_token}"


def _upstreams(settings: Settings, accounts: Accounts, redis: Redis) -> Upstreams:
    def connect(account: Account) -> Upstream:
        key = account.key.get_secret_value() if account.key else _NO_KEY
        budget = Budget(redis, account.rate_limit, account=account.name)
        swiftia = Swiftia(
            wire(account.base_url, key), key=key, max_result_bytes=settings.max_result_bytes, answered=budget.observe
        )
        return Upstream(account.name, swiftia, budget, account.rules)

    return Upstreams(accounts, connect)


def _downloads(settings: Settings) -> Downloads:
    client = guarded_client(trusted=settings.trusted_networks)
    return Downloads(client, max_bytes=settings.max_video_bytes, deadline_s=_DOWNLOAD_DEADLINE_S)
