"""Examples, one of each, as the pages show them. The tests hold them against their schemas."""

from typing import Any, Final

_FACTS: Final[dict[str, Any]] = {
    "id": "job_7Qa1",
    "ref": "3f9cT0bq7yZk1mWcP5sVxA",
    "state": "finished",
    "reason": None,
    "function": "VideoShorts",
    "title": "Episode 12",
    "cost": 0.58,
    "progress": 1.0,
    "upstream_status": "COMPLETED",
    "created_at": "2026-05-01T12:00:00.000Z",
    "updated_at": "2026-05-01T12:06:41.310Z",
    "metadata": {"customer": 7},
}
COUNTS: Final = {"total": 1, "kept": 1, "failed": 0, "parked": 0}
SUMMARY: Final = {**_FACTS, "renders": COUNTS}
PAGE: Final = {"jobs": [SUMMARY], "next": None, "looked_back_to": None}
RECEIPT: Final = "019b0c7e5a10d3b1f0a94c5e7f2281aa"
JOB: Final = {
    **_FACTS,
    "shorts": [{"id": "sh_a1", "title": "A strong claim", "text": "and that is why", "start": 12.4, "end": 44.0}],
    "renders": [
        {
            "n": 1,
            "short": {"id": "sh_a1", "title": "A strong claim"},
            "state": "kept",
            "progress": 1.0,
            "render_id": "rnd_55",
            "size": 9211004,
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "file": "/api/jobs/job_7Qa1/renders/1/file",
            "url": None,
            "reason": None,
        }
    ],
    "render_counts": COUNTS,
    "callbacks": [
        {"receipt": RECEIPT, "at": "2026-05-01T12:04:10.002Z", "from": "192.0.2.7", "size": 812, "duplicate": False}
    ],
    "deliveries": [
        {
            "n": 1,
            "id": "msg_3f9cT0bq7yZk1mWc",
            "event": "job.finished",
            "state": "delivered",
            "attempts": 1,
            "created_at": "2026-05-01T12:06:41.310Z",
            "next_at": None,
            "last_status": 204,
            "reason": None,
        }
    ],
    "timeline": [
        {"at": "2026-05-01T12:00:00.000Z", "event": "known", "by": "submission"},
        {"at": "2026-05-01T12:04:10.002Z", "event": "callback", "receipt": RECEIPT},
    ],
}
RESULT: Final = {
    "id": "job_7Qa1",
    "status": "COMPLETED",
    "data": {"shorts": [{"id": "sh_a1", "content": "A strong claim", "startTime": 12.4, "endTime": 44.0}]},
}
ORDERS: Final = {
    "A video of YouTube": {
        "functionName": "VideoShorts",
        "youtubeVideoId": "dQw4w9WgXcQ",
        "metadata": {"customer": 7},
    },
    "Two shorts of your own, the first of them rendered": {
        "functionName": "VideoShorts",
        "fileUrl": "https://cdn.example.org/talk.mp4",
        "options": {
            "predefinedShorts": [
                {"title": "Opening", "start": 3.5, "end": 48.0},
                {"title": "Questions", "start": 300, "end": 355.5},
            ]
        },
        "render": {"shorts": 1, "preset": "VIRAL", "size": {"width": 1080, "height": 1920}},
    },
}
BUDGET: Final = {
    "limit": 1,
    "configured": 1,
    "window": 1.0,
    "free": 0,
    "used": 1,
    "margin": 0.05,
    "waiting": {"submit": 0, "fetch": 1, "render": 0, "watch": 2, "reconcile": 0},
    "pause": 0.0,
    "pause_reason": "",
    "breaker": "closed",
    "credentials_ok": True,
    "refused": {"ours": 0, "stranger": 0, "shrunk": 0},
}
DRY_RUN: Final = {
    "dry_run": True,
    "request": {
        "functionName": "VideoShorts",
        "youtubeVideoId": "dQw4w9WgXcQ",
        "webhook": "https://hooks.example.org/webhooks/swiftia/<token>",
    },
    "notes": [],
}
STORAGE: Final = {
    "used_mb": 312.5,
    "total_mb": 1000.0,
    "used_percent": 31.25,
    "warning": False,
    "files": 41,
    "fetched_at": "2026-05-01T12:00:00.000Z",
    "age": 12,
}
READY: Final = {
    "ready": True,
    "redis": True,
    "clock": {"upstream": 0.113, "files": 0.121},
    "spool": {"count": 0, "bytes": 0},
    "storage": {"free_bytes": 79639867392, "paused": False},
}
EVENT: Final = {
    "id": "1795532444849-0",
    "event": "change",
    "data": '{"id":"job_7Qa1","ref":null,"render":1,"delivery":null,"event":"render.kept","state":"kept",'
    '"progress":1.0,"at":"2026-05-01T12:06:41.310Z"}',
}
