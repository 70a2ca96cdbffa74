"""What the sandbox has seen and done, kept so that a test can hold it against what its service believes."""

import threading
from collections import Counter
from typing import Any


class Books:
    """Safe for threads. Every ``at`` is epoch seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._requests: Counter[tuple[str, str]] = Counter()
            self._counts: Counter[str] = Counter()
            self._polls: Counter[tuple[str, str]] = Counter()
            self._unknown_fields: Counter[str] = Counter()
            self._files: dict[str, dict[str, int]] = {}
            self._callbacks: list[dict[str, Any]] = []
            self._faults: list[dict[str, Any]] = []
            self._crashes: list[str] = []
            self._unanswered: set[str] = set()

    def request(self, route: str, ending: str) -> None:
        """Count a request by how it ended: an HTTP status, ``reset``, ``cut`` or ``gone`` (the client left)."""
        with self._lock:
            self._requests[route, ending] += 1

    def count(self, what: str) -> None:
        """``rate_limited``, ``unauthorized``, ``unknown_targets``."""
        with self._lock:
            self._counts[what] += 1

    def poll(self, kind: str, subject: str) -> int:
        """Count a GET of a ``job`` or a ``render``; return its number, from 1."""
        with self._lock:
            self._polls[kind, subject] += 1
            return self._polls[kind, subject]

    def polls(self, kind: str) -> dict[str, int]:
        with self._lock:
            return {subject: count for (of, subject), count in self._polls.items() if of == kind}

    def unknown_fields(self, names: tuple[str, ...]) -> None:
        with self._lock:
            self._unknown_fields.update(name[:100] for name in names)

    def gone(self, route: str, ending: str) -> None:
        """Correct ``request``: the client had left before it could read that answer."""
        with self._lock:
            self._requests[route, ending] -= 1
            self._requests[route, "gone"] += 1

    def file(self, key: str, *, requests: int = 0, whole: int = 0, sent: int = 0) -> None:
        """Add to the account of a file; negative numbers take back."""
        with self._lock:
            row = self._files.setdefault(key, {"requests": 0, "whole": 0, "bytes": 0})
            row["requests"] += requests
            row["whole"] += whole
            row["bytes"] += sent

    def file_requests(self, key: str) -> int:
        with self._lock:
            return self._files.get(key, {}).get("requests", 0)

    def callback(self, **row: object) -> None:
        with self._lock:
            self._callbacks.append(row)

    def fault(self, **row: object) -> None:
        with self._lock:
            self._faults.append(row)

    def crash(self, text: str) -> None:
        """Keep a traceback of ours: there should never be one."""
        with self._lock:
            self._crashes.append(text)

    def unanswered(self, subject: str) -> None:
        """Remember a job or render that was made although its maker got no answer saying so."""
        with self._lock:
            self._unanswered.add(subject)

    def is_unanswered(self, subject: str) -> bool:
        with self._lock:
            return subject in self._unanswered

    def snapshot(self) -> dict[str, Any]:
        with self._lock:
            requests: dict[str, dict[str, int]] = {}
            for (route, ending), count in sorted((+self._requests).items()):
                requests.setdefault(route, {})[ending] = count
            counted = ("rate_limited", "unauthorized", "unknown_targets")
            return {
                "requests": requests,
                **{name: self._counts[name] for name in counted},
                "unknown_fields": dict(self._unknown_fields),
                "callbacks": list(self._callbacks),
                "faults": list(self._faults),
                "files": {key: dict(row) for key, row in self._files.items()},
                "crashes": list(self._crashes),
            }
