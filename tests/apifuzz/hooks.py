"""What no schema can tell, put into requests that are meant to be good; those meant to be bad stay as they are.

Loaded by schemathesis. Names are those of ``ground``; a counter for each route, not chance, chooses among them, so that
a seed repeats a run.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext, Response

from tests.apifuzz.ground import ACCOUNTS, RECEIPT, REF

_TURNS: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
_TOKENS = os.environ["FUZZ_TOKENS"].split(",")
_CURSOR = os.environ["FUZZ_CURSOR"]
_ANSWERED = Path(os.environ["FUZZ_ANSWERED"])
# Of three requests one asks for whatever was drawn.
_NAMES = ("job_1", "job_2", "", "job_1", "job_3", "", REF, f"ref:{REF}", "")
# What is erased is none of those that the others need.
_DOOMED = tuple(f"watched_{number}" for number in range(3))

_RANGES = ("bytes=0-0", "bytes=5-", "bytes=-7", "bytes=-999999", "bytes=0-1,5-6", "lines=1-2", "bytes")


@schemathesis.hook
def before_call(_context: HookContext, case: Case, _kwargs: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    turn = next(_TURNS[case.operation.label])
    _mend_path(case, turn)
    _mend_query(case, turn)
    _mend_headers(case, turn)
    if isinstance(case.body, dict):
        _mend_body(case, turn)


@schemathesis.hook
def after_call(_context: HookContext, case: Case, response: Response) -> None:
    """Note which routes did what they are there for, at least once."""
    if response.status_code < HTTPStatus.BAD_REQUEST:
        (_ANSWERED / case.operation.definition.raw["operationId"]).touch()


def _mend_path(case: Case, turn: int) -> None:
    given = case.path_parameters
    if "name" in given:
        given["name"] = _name(case.method, turn) or given["name"]
    if "n" in given and turn % 4:
        given["n"] = 1 + turn % 2
    if "receipt" in given and turn % 4:
        given["receipt"] = RECEIPT
    if "token" in given and turn % 4:
        given["token"] = _TOKENS[turn % len(_TOKENS)]
    if str(given.get("token", "")).startswith("shared"):  # the one URL that needs a job's id
        case.media_type, case.body = "application/json", {"id": "job_3"}


def _name(method: str, turn: int) -> str:
    if method in ("DELETE", "PUT"):
        return _DOOMED[turn % 3] if turn % 2 else ""
    return _NAMES[turn % len(_NAMES)]


def _mend_query(case: Case, turn: int) -> None:
    # A cursor is the word of the service alone.
    if "cursor" in case.query:
        case.query["cursor"] = _CURSOR
    if "account" in case.query:
        case.query["account"] = ACCOUNTS[turn % 2]


def _mend_headers(case: Case, turn: int) -> None:
    # One that lies behind the end of the file is refused, and rightly.
    # A part of a JSON document is of the type of the whole, as it has to be (RFC 9110, section 15.3.7), and is read as
    # one by schemathesis: of results it asks for all. The tests of the files ask for parts.
    if "Range" in case.headers:
        case.headers["Range"] = "bytes=0-" if _is(case, "getResult") else _RANGES[turn % len(_RANGES)]
    # Keys that come twice with different bodies are refused, and rightly.
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}{turn}"


def _mend_body(case: Case, turn: int) -> None:
    if case.body.get("account"):
        case.body["account"] = ACCOUNTS[turn % 2]
    if _is(case, "submitJob"):
        # What Swiftia takes is not ours to describe; the rest of the body stays as it was drawn.
        own = {name: case.body[name] for name in ("metadata", "render", "account", "delivery") if name in case.body}
        case.body = {"functionName": "VideoShorts", "youtubeVideoId": f"video-{turn}", **own}


def _is(case: Case, operation: str) -> bool:
    return bool(case.operation.definition.raw.get("operationId") == operation)
