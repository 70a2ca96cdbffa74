"""``/api/events`` and ``/api/jobs/<id>/events``: what happens, as Server-Sent Events.

``change``  one change: {id, ref, render, event, state, progress, at} (``workers/changes.py``)
``job``     of one job: how it stands now; first of all, unless the listener resumes
``reset``   the listener has missed changes: it asks for what it wants to know
``end``     of one job: it has ended, and so does the answer. Who resumes behind it gets 204, which stops an EventSource

An event's id is that of the change in Redis. Behind ``Last-Event-ID`` nothing is left out and nothing is told twice.
"""

import json
from collections.abc import Collection
from typing import Final

from flask import Blueprint, Request, Response, request

from receiver import handover, queries
from receiver.answers import GUARDED, empty_answer
from receiver.broadcast import Broadcast
from receiver.jobs import find
from receiver.pieces import end, framed, reset
from receiver.problems import NO_STREAMS, problem
from workers import frames
from workers.catalog import Catalog
from workers.feed import Feed
from workers.frames import StreamId
from workers.states import JOB_SETTLED
from workers.views import JobView
from workers.work import EVENTS_CAP

_COME_BACK_MS: Final = 2000
_HEADERS: Final = {**GUARDED, "X-Accel-Buffering": "no"}


class Events:
    def __init__(self, catalog: Catalog, feed: Feed, broadcast: Broadcast) -> None:
        self._catalog = catalog
        self._feed = feed
        self._broadcast = broadcast

    def add_to(self, api: Blueprint) -> None:
        api.add_url_rule("/events", view_func=self.of_all, methods=["GET"])
        api.add_url_rule("/jobs/<name>/events", view_func=self.of_job, methods=["GET"])

    def of_all(self) -> Response:
        after, calm = last_event_id(request), queries.calm(request)
        known = self._broadcast.admit()
        if after is None:
            return self._stream(frames.comment(at=known), None, known, calm=calm)
        if not self._broadcast.holds(after):
            return self._stream(reset(known), None, known, calm=calm)
        return self._stream(frames.comment(), None, after, calm=calm)

    def of_job(self, name: str) -> Response:
        after = last_event_id(request)
        # In this order: what happens in between is in the view, and is told once more.
        known = self._broadcast.admit()
        view = find(self._catalog, name)
        names = frozenset({str(view.subject), f"ref:{view.summary.ref}", f"ref:{name.removeprefix('ref:')}"})
        if after is not None and self._broadcast.holds(after):
            return self._resumed(view, names, after)
        opening = _snapshot(view, known)
        if after is not None:
            opening = reset(known) + opening
        return self._whole(opening + end(known)) if _is_settled(view) else self._stream(opening, names, known)

    def _resumed(self, view: JobView, names: Collection[str], after: StreamId) -> Response:
        if not _is_settled(view):
            return self._stream(frames.comment(), frozenset(names), after)
        # From Redis itself: that the job has ended may not be known to the broadcast yet.
        changes, _ = self._feed.after(after, most=2 * EVENTS_CAP, wait_ms=None)
        missed = [change for change in changes if change.owner in names]
        return self._whole(framed(missed) + end(missed[-1].at)) if missed else empty_answer()

    def _stream(self, opening: bytes, names: frozenset[str] | None, after: StreamId, *, calm: bool = False) -> Response:
        environ = request.environ
        if not handover.possible(environ):
            return problem(NO_STREAMS, "run it with gunicorn's gthread and without TLS of its own")
        chunked = handover.is_chunked(environ)
        first = frames.pause(_COME_BACK_MS) + opening
        body = handover.handed_over(
            environ, first, lambda sock: self._broadcast.join(sock, names, after, chunked=chunked, calm=calm)
        )
        return Response(body, headers=_HEADERS, content_type="text/event-stream")

    def _whole(self, body: bytes) -> Response:
        return Response(frames.pause(_COME_BACK_MS) + body, headers=_HEADERS, content_type="text/event-stream")


def last_event_id(asked: Request) -> StreamId | None:
    """Raise ``InvalidInput`` for what is none of ours. The header, which is newer, goes before the address."""
    text = asked.headers.get("Last-Event-ID") or asked.args.get("last_event_id")
    return frames.read_id(text) if text else None


def _is_settled(view: JobView) -> bool:
    return view.summary.state in JOB_SETTLED


def _snapshot(view: JobView, at: StreamId) -> bytes:
    """As ``GET /api/jobs/<id>``, but for the shorts: they are in a file, and do not change."""
    body = view.as_json(())
    del body["shorts"]
    return frames.frame(json.dumps(body, separators=(",", ":")), event="job", at=at)
