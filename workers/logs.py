"""Sets up logging for a process: one line for each event, as JSON or for a terminal, with the secrets taken out.

What libraries send to ``logging`` goes the same way, so there is one format and one net for secrets.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.types import Processor

from workers import origin, tracing
from workers.redaction import redacted_fields
from workers.settings import Settings

# They tell of every request at this level, which our own events do better.
_CHATTY: Final = ("httpcore2", "httpx2", "rq", "rq.worker", "urllib3")
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"}


def configure(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Write events of ``structlog`` and ``logging`` from LOG_LEVEL on to ``stream``, standard error by default.

    May be called again, with other settings too.
    """
    out = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    first = _first_processors()
    last = _renderers(as_json=_wants_json(settings.log_format, out), colors=out.isatty())
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _take_over_logging(out, level, first, last)


def _wants_json(log_format: str, out: TextIO) -> bool:
    return log_format == "json" or (log_format == "auto" and not out.isatty())


def _first_processors() -> list[Processor]:
    return [_add_origin]


def _renderers(*, as_json: bool, colors: bool) -> list[Processor]:
    # A traceback becomes text before the net is cast over it, and never shows local variables: secrets live there.
    # The time looks like what the net is for, and is none of it.
    told: list[Processor] = [
        structlog.processors.format_exc_info,
        _redact,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if as_json:
        return [*told, structlog.processors.JSONRenderer()]
    console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
    return [*told, _disarm, console]


def _add_origin(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, text in origin.ids().items():
        event.setdefault(name, text)
    if traceparent := tracing.traceparent():
        event["trace_id"] = traceparent.split("-")[1]
    return event


def _redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return redacted_fields(event)


def _disarm(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # Titles and callbacks come from outside: an escape sequence in one must not steer the terminal.
    return {name: _harmless(name, value) for name, value in event.items()}


def _harmless(name: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.translate(_CONTROLS)
    return text if name == "exception" else text.replace("\n", "\\n")


def _take_over_logging(out: TextIO, level: int, first: list[Processor], last: list[Processor]) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder(), *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
