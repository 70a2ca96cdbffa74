"""Everything about the sandbox that can be chosen. Durations are seconds, fractions run from 0 to 1."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from workers.errors import InvalidSettings
from workers.sandbox.callback_bodies import FORMS
from workers.sandbox.dialects import DIALECTS
from workers.sandbox.fields import (
    between,
    filled,
    names,
    not_negative,
    one_of,
    parsed_by,
    positive,
    problem,
    read,
    setting,
    some_of,
    variable,
)
from workers.sandbox.limiter import Rate, parse_rate

_FRACTION = between(0, 1)
_LARGEST_FILM = 1 << 31
FIXED = {"host", "port", "public_url", "seed", "webhook_senders"}
"""Cannot be changed while the sandbox runs."""


def _byte_range(text: str) -> tuple[int, int]:
    low, _, high = text.partition("-")
    smallest, largest = int(low), int(high or low)
    if not 0 < smallest <= largest <= _LARGEST_FILM:
        raise ValueError(text)
    return smallest, largest


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Made with keywords or ``from_env``; either way every problem is reported at once, as InvalidSettings."""

    # Where it listens. ``public_url`` replaces http://host:port in the URLs of rendered files.
    host: str = setting("127.0.0.1", check=filled)
    port: int = setting(8010, check=between(0, 65535))
    public_url: str = setting("")
    api_key: str = setting("sandbox-key", check=filled, secret=True)
    seed: str = setting("")

    # What it says. Names separated by commas take turns; "mixed" is all of them.
    dialect: str = setting("mixed", check=some_of("mixed", *DIALECTS))
    extras: bool = setting(default=True)
    shorts: int = setting(3, check=between(0, 200))
    brand_presets: str = setting("brand_22,brand_house")
    inactive_brand_presets: str = setting("brand_retired")
    storage_mb: int = setting(1000, check=positive)
    refuse: str = setting("", check=one_of("", "full-storage", "no-phone", "no-credit"))

    # The organization's allowance. ``retry_after``: the true wait, or the 1 of the documented example.
    rate_limit: str = setting("5/1s", check=parsed_by(parse_rate, "a count and a window such as 5/1s"))
    rate_headers: bool = setting(default=True)
    retry_after: str = setting("honest", check=one_of("honest", "one"))
    count_refused: bool = setting(default=False)

    # How long things take: each duration is drawn from mean * (1 +- spread), then multiplied by ``time_scale``.
    # With a tail, renders take ``render_seconds`` in the middle, from two fifths to eight times that, long ones rarely:
    # it is the deviation of the logarithm, 0.9 for a heavy one.
    job_seconds: float = setting(3.0, check=not_negative)
    render_seconds: float = setting(3.0, check=not_negative)
    queue_seconds: float = setting(1.0, check=not_negative)
    spread: float = setting(0.3, check=_FRACTION)
    render_tail: float = setting(0.0, check=between(0, 3))
    time_scale: float = setting(1.0, check=not_negative)
    stalls: float = setting(0.2, check=_FRACTION)
    film_bytes: str = setting("30000-200000", check=parsed_by(_byte_range, "bytes such as 30000-200000, at most 2 GiB"))

    # What goes wrong with the work itself.
    job_fails: float = setting(0.0, check=_FRACTION)
    render_fails: float = setting(0.0, check=_FRACTION)

    # The callbacks. ``late_seconds`` and ``webhook_retry_seconds`` are scaled by ``time_scale`` too.
    webhook_bodies: str = setting("mixed", check=some_of("mixed", *FORMS))
    twice: float = setting(0.0, check=_FRACTION)
    never: float = setting(0.0, check=_FRACTION)
    early: float = setting(0.0, check=_FRACTION)
    late: float = setting(0.0, check=_FRACTION)
    late_seconds: float = setting(10.0, check=not_negative)
    failure_calls: bool = setting(default=True)
    webhook_tries: int = setting(1, check=between(1, 100))
    webhook_retry_seconds: float = setting(1.0, check=not_negative)
    webhook_timeout: float = setting(10.0, check=positive)
    webhook_senders: int = setting(8, check=between(1, 256))
    huge_bytes: int = setting(200_000, check=between(0, 64 << 20))

    # What goes wrong on the wire. ``fault_routes``: names such as "POST /api/render"; empty means all, files included.
    server_errors: float = setting(0.0, check=_FRACTION, env="SANDBOX_5XX")
    html: float = setting(0.0, check=_FRACTION)
    resets: float = setting(0.0, check=_FRACTION)
    cuts: float = setting(0.0, check=_FRACTION)
    slow: float = setting(0.0, check=_FRACTION)
    slow_seconds: float = setting(2.0, check=not_negative)
    fault_effect: str = setting("both", check=one_of("both", "before", "after"))
    fault_routes: str = setting("")

    def __post_init__(self) -> None:
        problems = [
            f"{variable(each)}={getattr(self, each.name)!r} is not {wanted}"
            for each in fields(self)
            if (wanted := problem(each, getattr(self, each.name)))
        ]
        if self.server_errors + self.html + self.resets + self.cuts > 1:
            problems.append("SANDBOX_5XX, SANDBOX_HTML, SANDBOX_RESETS and SANDBOX_CUTS add up to more than 1")
        if problems:
            raise InvalidSettings(problems)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Read ``SANDBOX_*``. A variable of that kind that is not known is a problem: it is a misspelt one."""
        known = {variable(each): each for each in fields(cls)}
        texts = {name: text for name, text in env.items() if name.startswith("SANDBOX_") and text.strip()}
        problems = [_unknown(name, known) for name in texts if name not in known]
        values: dict[str, Any] = {}
        for name in texts.keys() & known.keys():
            try:
                values[known[name].name] = read(known[name], texts[name])
            except ValueError as error:
                problems.append(f"{name}={texts[name]!r} is not {error}")
        if problems:
            raise InvalidSettings(sorted(problems))
        return cls(**values)

    def changed(self, changes: Mapping[str, object]) -> Self:
        """Return a copy with some fields changed, by field name; values are JSON values or their text."""
        known = {each.name: each for each in fields(self)}
        problems = [f"{name} cannot be changed while the sandbox runs" for name in changes if name in FIXED]
        problems += [_unknown(name, known) for name in changes if name not in known]
        values: dict[str, Any] = {}
        for name, value in changes.items():
            try:
                values[name] = read(known[name], str(value)) if name in known else value
            except ValueError as error:
                problems.append(f"{name}={value!r} is not {error}")
        if problems:
            raise InvalidSettings(problems)
        return replace(self, **values)

    @property
    def rate(self) -> Rate:
        return parse_rate(self.rate_limit)

    @property
    def film_range(self) -> tuple[int, int]:
        """Smallest and largest file, in bytes."""
        return _byte_range(self.film_bytes)

    @property
    def dialects(self) -> tuple[str, ...]:
        return tuple(DIALECTS) if "mixed" in names(self.dialect) else names(self.dialect)

    @property
    def body_forms(self) -> tuple[str, ...]:
        return tuple(FORMS) if "mixed" in names(self.webhook_bodies) else names(self.webhook_bodies)


def _unknown(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name} is not a setting of the sandbox" + (f"; did you mean {close[0]}?" if close else "")
