"""What ``check`` finds out about each account: whether Swiftia takes its key, and how its budget stands."""

import functools
from collections.abc import Iterator
from typing import Final

from receiver.findings import BAD, OK, WARN, Finding, careful
from workers.accounts import VARIABLE, Account
from workers.errors import Busy, CredentialsRefused
from workers.services import Services
from workers.storage import Storage
from workers.upstreams import Upstream

_TURN_S: Final = 20.0


def keys_and_budgets(services: Services) -> Iterator[Finding]:
    """Spend one request of each account, and look at its budget afterwards."""
    storage = Storage(services.redis, services.upstreams, patience_s=_TURN_S)
    for name, account in services.upstreams.accounts.by_name.items():
        way = services.upstreams.of(name)
        what, budget = f"Swiftia {name}".rstrip(), f"budget {name}".rstrip()
        yield from careful(what, functools.partial(_key, what, account, storage))
        warn = services.settings.storage_warn_percent
        yield from careful(what, functools.partial(_room, storage, what, name, warn))
        yield from careful(budget, functools.partial(_budget, budget, account, way))
    for name, waiting in services.ledger.unfinished().items():
        if waiting and name not in services.budgets:
            found = f"{waiting} subjects wait for {f'the account {name}' if name else 'a job that names no account'}"
            fix = f"name it in {VARIABLE}{'' if name else ', as [default]'}: they go on then"
            yield Finding(BAD, "accounts", f"{found}, which has no key", fix)


def _key(what: str, account: Account, storage: Storage) -> Iterator[Finding]:
    if account.key is None:
        yield Finding(WARN, what, "SWIFTIA_API_KEY is not set: only the sandbox of `up` can be used", "set the key")
        return
    try:
        storage.see(account.name)
    except CredentialsRefused:
        yield Finding(BAD, what, f"{account.base_url} refuses the API key", _remedy(account))
    except Busy as error:
        yield Finding(WARN, what, f"{error.message.partition(';')[0]}, so the key was not tried", "try later")
    else:
        yield Finding(OK, what, f"{account.base_url} takes the key")


def _room(storage: Storage, what: str, account: str, warn_percent: float) -> Iterator[Finding]:
    """Tell of the storage at Swiftia as it was seen last."""
    stock = storage.known(account)
    if stock is None or stock.used_mb is None or stock.total_mb is None:
        return
    ago_s = max(0.0, storage.now() - stock.at)
    found = f"{stock.used_mb:g} of {stock.total_mb:g} MB of the storage were used {ago_s:.0f} s ago"
    if stock.is_short(warn_percent):
        fix = "erase files there, or choose a larger plan: a full storage takes no more jobs"
        yield Finding(WARN, what, found, fix)
    else:
        yield Finding(OK, what, found)


def _budget(what: str, account: Account, way: Upstream) -> Iterator[Finding]:
    state = way.budget.state()
    limit = f"{state.used} of {state.allowed} requests in {state.window_s:g} s are used"
    again = f"the next try is in {state.pause_s:.0f} s"
    if not state.credentials_ok:
        yield Finding(BAD, what, f"Swiftia refuses the key; {again}; {limit}", _remedy(account))
    if state.breaker != "closed":
        found = f"Swiftia's answers failed in a row, the breaker is {state.breaker}; {again}; {limit}"
        yield Finding(WARN, what, found, "nothing is lost, and it goes on by itself; look whether Swiftia is up")
    if state.credentials_ok and state.breaker == "closed":
        paused = f"; after a 429 {again}" if state.pause_reason == "limit" else ""
        yield Finding(OK, what, f"{limit}; Swiftia answers, and takes the key{paused}")


def _remedy(account: Account) -> str:
    where = f"key for [{account.name}] in {VARIABLE}" if account.name else "SWIFTIA_API_KEY"
    return f"set a valid {where}; all its upstream work waits for it, and nothing is lost"
