"""How a server of Redis keeps what is written: what it says of it, and what is wrong with that."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import redis

from workers.errors import LedgerUnavailable


@dataclass(frozen=True, slots=True)
class Durability:
    """What a server says of how it keeps writes. None: it does not say (managed servers often forbid CONFIG)."""

    role: str | None
    maxmemory_policy: str | None
    appendonly: bool | None
    appendfsync: str | None
    replicas: int | None = field(default=None, compare=False)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is certainly wrong, each with its fix."""
        found = (
            (
                self.role not in (None, "master"),
                f"this is a {self.role}, which takes no writes; connect to the primary",
            ),
            (
                self.maxmemory_policy not in (None, "noeviction"),
                f"maxmemory-policy is {self.maxmemory_policy}: a full memory erases accepted work; set noeviction",
            ),
            (
                self.appendonly is False,
                "appendonly is no: a crash loses every write since the last snapshot; set appendonly yes",
            ),
            (
                self.appendonly is not False and self.appendfsync not in (None, "always"),
                f"appendfsync is {self.appendfsync}: a power loss loses the last accepted webhooks; set always",
            ),
        )
        return tuple(text for wrong, text in found if wrong)

    def lacking(self, ack_replicas: int) -> tuple[str, ...]:
        """What keeps ``ack_replicas`` replicas from having each acknowledged write, with its fix."""
        if self.replicas is None or self.replicas >= ack_replicas:
            return ()
        found = f"{self.replicas} replicas are connected and ACK_REPLICAS={ack_replicas} waits for more"
        return (f"{found}: callbacks wait in the spool; start them, or lower ACK_REPLICAS",)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The settings that the server does not tell; look them up in its console, or allow CONFIG GET."""
        values = {
            "role": self.role,
            "maxmemory-policy": self.maxmemory_policy,
            "appendonly": self.appendonly,
            "appendfsync": self.appendfsync,
        }
        return tuple(name for name, value in values.items() if value is None)

    @property
    def durable(self) -> bool:
        """Whether an acknowledged write certainly survives a crash: no problem, and nothing unknown."""
        return not self.problems and not self.unknown


def durability(client: redis.Redis) -> Durability:
    """Ask the server with CONFIG GET, else with INFO. Raises LedgerUnavailable when it does not answer."""
    with _answering():
        info = _allowed(client.info) or {}
        aof_enabled = info.get("aof_enabled")
        appendonly = _config(client, "appendonly") or (None if aof_enabled is None else "yes" if aof_enabled else "no")
        return Durability(
            role=_text(info.get("role")),
            maxmemory_policy=_config(client, "maxmemory-policy") or _text(info.get("maxmemory_policy")),
            appendonly=None if appendonly is None else appendonly == "yes",
            appendfsync=_config(client, "appendfsync"),
            replicas=_online(info) if info else None,
        )


def longest_in_listpack(client: redis.Redis) -> int | None:
    """Give the size up to which a hash keeps its values in the form that takes least memory; None if it does not tell.

    Raises LedgerUnavailable when it does not answer.
    """
    with _answering():
        text = _config(client, "hash-max-listpack-value")
    return int(text) if text and text.isdigit() else None


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise LedgerUnavailable("Redis does not answer; see that it runs and that REDIS_URL names it") from error


def _online(info: Mapping[object, object]) -> int:
    # Not connected_slaves: it counts those that are still loading, and their word comes much later.
    entries = [value for key, value in info.items() if re.fullmatch(r"slave[0-9]+", str(key))]
    return sum(isinstance(entry, dict) and entry.get("state") == "online" for entry in entries)


def _config(client: redis.Redis, name: str) -> str | None:
    found = _allowed(lambda: client.config_get(name)) or {}
    return next((_text(value) for key, value in found.items() if _text(key) == name), None)


def _allowed(ask: Callable[[], object]) -> dict[object, object] | None:
    try:
        answer = ask()
    except redis.ResponseError:
        return None
    return answer if isinstance(answer, dict) else None


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None
