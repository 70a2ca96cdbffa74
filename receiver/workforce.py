"""``GET /api/workers``: who works, on what, and what waits for them."""

from datetime import UTC, datetime

from flask import Blueprint, Response
from redis import Redis

from receiver.answers import json_answer
from workers.crew import Hand, read_crew


class Workers:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/workers", view_func=self.workers)

    def workers(self) -> Response:
        crew = read_crew(self._redis)
        return json_answer(
            {"count": crew.count, "queued": dict(crew.queues), "workers": [_told(hand) for hand in crew.hands]}
        )


def _told(hand: Hand) -> dict[str, object]:
    task = hand.task
    return {
        "host": hand.host,
        "pid": hand.pid,
        "lane": hand.lane,
        "since": _moment(hand.since),
        "seen": _moment(hand.seen),
        "task": task
        and {
            "step": task.step,
            "subject": task.subject,
            "attempt": task.attempt,
            "since": _moment(task.since),
        },
    }


def _moment(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
