"""``/check``: the doctor's findings as a page. It runs when a person asks, as it spends a request of each account.

What it found is kept for a while, in Redis for all web processes, and in this one where Redis is away.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from flask import Response
from redis import Redis, RedisError

from receiver.console import shell
from receiver.console.forms import Form
from receiver.console.gate import Gate, gone_to
from receiver.console.visitors import Visitor
from receiver.findings import BAD, OK, WARN, Finding
from workers import keys
from workers.documents import member, parse_json, text
from workers.errors import Busy, InvalidInput
from workers.moments import moment

KEPT_S: Final = 3600
_LEVELS: Final = (BAD, WARN, OK)
_CROWDED_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Report:
    """``at``: ISO 8601. ``findings``: the worst first."""

    at: str
    findings: Sequence[Finding]

    def count(self, level: str) -> int:
        return sum(finding.level == level for finding in self.findings)


class CheckPage:
    """``examine``: gives the findings, in as many seconds as it takes. ``now``: Unix seconds."""

    def __init__(
        self,
        redis: Redis,
        examine: Callable[[], Sequence[Finding]],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._redis = redis
        self._examine = examine
        self._now = now
        self._turn = threading.Lock()
        self._own: Report | None = None

    def add_to(self, gate: Gate) -> None:
        gate.show("/check", self.page)
        gate.act("/check", self.run)

    def page(self, visitor: Visitor) -> Response:
        return shell.page(visitor, "check.html", report=self._last())

    def run(self, visitor: Visitor, form: Form) -> Response:
        """Raise ``Busy`` while somebody else has it run in this process."""
        del visitor, form
        if not self._turn.acquire(blocking=False):
            raise Busy("a check runs already; look again in a moment", retry_after=_CROWDED_S)
        try:
            findings = sorted(self._examine(), key=lambda finding: _LEVELS.index(finding.level))
        finally:
            self._turn.release()
        self._own = Report(moment(self._now() * 1000) or "", findings)
        with contextlib.suppress(RedisError):  # this process has it, and its findings say that Redis is away
            self._redis.set(keys.CHECK, json.dumps(asdict(self._own)), ex=KEPT_S)
        return gone_to("/check")

    def _last(self) -> Report | None:
        """The newest: another process may have looked since."""
        try:
            raw = self._redis.get(keys.CHECK)
        except RedisError:
            return self._own
        kept = _read(raw) if isinstance(raw, bytes) else None
        found = [report for report in (kept, self._own) if report is not None]
        return max(found, key=lambda report: report.at, default=None)


def _read(raw: bytes) -> Report | None:
    try:
        document = parse_json(raw, what="a report")
    except InvalidInput:
        return None
    findings = member(document, "findings")
    if not isinstance(findings, list):
        return None
    read = [[text(member(one, name)) or "" for name in ("level", "what", "found", "fix")] for one in findings]
    return Report(text(member(document, "at")) or "", [Finding(*one) for one in read if one[0] in _LEVELS])
