"""Spans for OpenTelemetry, where its packages are installed (the extra ``tracing``) and OTEL_… variables ask for them.

Else every call here does next to nothing; ``exporting`` begins it. A span has one of a few names, and ids as
attributes: what an error says is never among them. Which trace a piece of work belongs to goes through the ledger with
it, as a ``traceparent`` (W3C Trace Context).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from workers.redaction import redacted_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.trace import TracerProvider

STEPS: Final = ("submit", "fetch", "render", "watch", "keep", "deliver")
NAMES: Final = frozenset({
    "callback.receive", "job.submit", "job.retry", "upstream.request", "download", "delivery.send",
    *(f"step.{step}" for step in STEPS),
})  # fmt: skip
SERVICE: Final = "swiftia-receiver"
Attribute = str | int | float


class Carrier(Protocol):
    """What may hold a ``traceparent``: the headers of a request, or a mapping."""

    def get(self, name: str, default: str, /) -> str: ...


class Span(Protocol):
    def set(self, **attributes: Attribute) -> None: ...


class _Nothing:
    def set(self, **attributes: Attribute) -> None:
        del attributes

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None: ...


class _Active:
    """``provider``: of OpenTelemetry."""

    def __init__(self, provider: TracerProvider) -> None:
        # The packages may not be there, and nobody pays for them who has not asked for spans.
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

        self._trace = trace
        self._tracer = provider.get_tracer(SERVICE)
        self._propagator = TraceContextTextMapPropagator()
        self._kinds = {"client": trace.SpanKind.CLIENT, "server": trace.SpanKind.SERVER}
        self.provider = provider

    @contextmanager
    def span(self, name: str, kind: str, carrier: Carrier, attributes: Mapping[str, Attribute]) -> Iterator[Span]:
        parent = carrier.get("traceparent", "")
        context = self._propagator.extract({"traceparent": parent}) if parent else None
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=self._kinds.get(kind, self._trace.SpanKind.INTERNAL),
            # What an exception says, and where it came from, may quote what it was about.
            record_exception=False,
            set_status_on_exception=False,
        ) as current:
            shown = _Shown(current)
            shown.set(**attributes)
            try:
                yield shown
            except BaseException as error:
                shown.set(**{"error.type": type(error).__name__})
                current.set_status(self._trace.StatusCode.ERROR)
                raise

    def traceparent(self) -> str:
        found: dict[str, str] = {}
        self._propagator.inject(found)
        return found.get("traceparent", "")


class _Shown:
    def __init__(self, span: Any) -> None:
        self._span = span

    def set(self, **attributes: Attribute) -> None:
        for name, value in attributes.items():
            if value != "":
                self._span.set_attribute(name, redacted_text(value) if isinstance(value, str) else value)


_NOTHING: Final = _Nothing()
_active: list[_Active] = []


def span(
    name: str, *, kind: str = "", carrier: Carrier | None = None, **attributes: Attribute
) -> AbstractContextManager[Span]:
    """Time a block under one of ``NAMES``. ``kind``: ``client``, ``server`` or nothing.

    ``carrier``: holds the ``traceparent`` of what it belongs to; else it belongs to the span that it is in.
    """
    return _active[0].span(name, kind, carrier or {}, attributes) if _active else _NOTHING


def is_on() -> bool:
    return bool(_active)


def traceparent() -> str:
    """Of the span that this thread is in; empty without one."""
    return _active[0].traceparent() if _active else ""


def use(found: TracerProvider | None) -> None:
    """Make spans with this one from now on; None: none."""
    _active[:] = [] if found is None else [_Active(found)]


def flush() -> None:
    """Tell what was held back. For processes that end without a word, as work-horses do."""
    if _active:
        _active[0].provider.force_flush()
