"""The part of the ledger that attempts are made of: what is due, that they go on, and how they ended."""

from collections.abc import Iterable, Mapping, Sequence

from workers import keys
from workers.errors import Conflict
from workers.identifiers import Subject
from workers.parking import group_of
from workers.records import Dispatched, Event, Pass, Record, storable
from workers.scribe import NotReplicated, Scribe
from workers.work import CLASSES, UPSTREAM


class Turns(Scribe):
    def read_scripts(self) -> None:
        """Read what steps use, see ``Scripts.read``."""
        self._scripts.read("begin", "take_nudge", "renew", "move", "plan", "link", "drop_bodies")

    def renew(self, subject: Subject, attempt: int) -> bool:
        return bool(self._run("renew", {"subject": str(subject), "attempt": str(attempt)}))

    def move(
        self,
        record: Record,
        state: str = "",
        *,
        outcome: str = "done",
        wait_s: float = 0.0,
        in_place: bool = False,
        hold: bool = False,
        reason: str = "",
        fields: Mapping[str, object] | None = None,
        drop: Sequence[str] = (),
        events: Sequence[Event] = (),
        measured: Mapping[str, int] | None = None,
    ) -> bool:
        """Write how an attempt ended, or with ``hold`` that it goes on. False if another attempt took over.

        ``in_place``: it was not its turn yet, and keeps its place in the line. ``outcome``: what the attempt is counted
        as. ``measured``: what is counted beside it, by its family.
        """
        arguments = {
            **_of_move(record, state, fields or {}, events),
            "outcome": outcome,
            "measured": dict(measured or {}),
            "wait_ms": round(wait_s * 1000),
            "in_place": int(in_place),
            "hold": int(hold),
            "reason": reason,
            "group": group_of(reason) if reason else "",
            "drop": list(drop),
        }
        return self._moved(self._run("move", arguments), record, state)

    def intend(
        self, record: Record, state: str, *, fields: Mapping[str, object] | None = None, events: Sequence[Event] = ()
    ) -> bool:
        """Write what the attempt is about to do and cannot take back. False if another attempt took over.

        Where replicas are to have what is acknowledged they must have this too: raises ``LedgerUnavailable`` where they
        do not, and takes it back.
        """
        arguments = {
            **_of_move(record, state, fields or {}, events),
            "wait_ms": 0,
            "in_place": 0,
            "hold": 1,
            "reason": "",
            "drop": [],
        }
        try:
            return self._moved(self._keep("move", arguments), record, state)
        except NotReplicated:
            self.move(record, record.state, hold=True)
            raise

    def plan(
        self,
        record: Record,
        renders: Sequence[Mapping[str, object]],
        fields: Mapping[str, object],
        *,
        size: int = 0,
        receipts: Iterable[str] = (),
    ) -> bool:
        """The result, of ``size`` bytes, is kept: go on to its renders. False if another attempt took over.

        ``receipts``: of the callbacks whose bodies are kept with it.
        """
        arguments = {
            "subject": str(record.subject),
            "attempt": str(record.attempt),
            "fields": storable(fields),
            "bytes": size,
            "renders": [storable(render) for render in renders],
            "receipts": list(receipts),
            "events": [["result", {"shorts": fields.get("shorts", 0), "renders": len(renders)}]],
        }
        return self._moved(self._run("plan", arguments), record, "rendering")

    def lost(self, subject: Subject, attempt: int, *, reason: str, crashed: bool) -> bool:
        """Say that the run of a claimed attempt ended without an outcome. False if the attempt is over or never began.

        ``crashed``: it took its worker down, and ``reason`` says how: it waits a little, and is parked after too many
        in a row. Otherwise a stop cut it off, and it is dispatched again at once.
        """
        arguments = {"subject": str(subject), "attempt": str(attempt), "reason": reason, "crashed": int(crashed)}
        return bool(self._run("lost", arguments))

    def dispatch(self, lane: str, account: str = "", *, most: int, turn: bool = False) -> Dispatched:
        """Pass one lane, see ``Pass``."""
        (done,) = self.dispatch_all([Pass(lane, account, most=most, turn=turn)])
        return done

    def dispatch_all(self, passes: Sequence[Pass]) -> list[Dispatched]:
        """Nudge what is due in some lanes, in each the most important class first."""
        asked = [{"lane": p.lane, "account": p.account, "most": p.most, "turn": int(p.turn)} for p in passes]
        return [
            Dispatched(nudged, parked, next_ms if next_ms >= 0 else None, silent, back_ms, queued)
            for nudged, parked, next_ms, silent, back_ms, queued in self._run("dispatch", {"passes": asked})
        ]

    def unfinished(self) -> dict[str, int]:
        """How much is to be asked of Swiftia yet, for each account that ever had a job here, and for none."""
        found: dict[str, int] = {}
        for account in ["", *sorted(name.decode() for name in self._read(self._redis.smembers, keys.ACCOUNTS))]:
            lines = [keys.due(keys.line(name, account)) for name in CLASSES[UPSTREAM]]
            found[account] = sum(self._read(self._redis.zcard, line) for line in lines)
        return found

    def _moved(self, answer: int, record: Record, state: str) -> bool:
        if answer < 0:
            raise Conflict(f"{record.subject} is {record.state} and cannot become {state}")
        return answer == 1


def _of_move(record: Record, state: str, fields: Mapping[str, object], events: Sequence[Event]) -> dict[str, object]:
    return {
        "subject": str(record.subject),
        "attempt": str(record.attempt),
        "state": state,
        "fields": storable(fields),
        "events": [[name, dict(values)] for name, values in events],
        "outcome": "",
        "measured": {},
    }
