"""Where spans go: to a collector, as the OTEL_… variables say. Nothing of OpenTelemetry is imported before they do."""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import logging
import mmap
import os
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog

from workers import tracing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TIMEOUTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_PACKAGE: Final = "opentelemetry.exporter.otlp.proto.http"
# A work-horse tells its spans before it ends, and its worker waits for that.
_HORSE_PATIENCE_S: Final = 1.0
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 30.0
_UNNAMED: Final = "unknown_service"
_log = structlog.get_logger("workers.tracing")


def is_wanted(env: Mapping[str, str]) -> bool:
    """As the OpenTelemetry specification has it, but that nothing is sent where nobody said where to."""
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter not in ("", "otlp"):
        return False
    return exporter == "otlp" or any(env.get(name, "").strip() for name in _ENDPOINTS)


def start(role: str, *, forks: bool = False, env: Mapping[str, str] = os.environ) -> None:
    """Begin to tell spans, if that is wanted. ``role``: what this process is called among the others.

    ``forks``: it forks after this, and ``tracing.flush`` is called in each child.
    """
    if not is_wanted(env):
        return
    if not _is_installed():
        fix = "pip install 'swiftia-receiver[tracing]', or unset the OTEL_ variables"
        _log.warning("tracing.missing", fix=fix)
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    given = any(env.get(name, "").strip() for name in _TIMEOUTS)
    exporter = OTLPSpanExporter(timeout=None if given else _HORSE_PATIENCE_S if forks else _PATIENCE_S)
    if forks:
        # The thread of a batch does not come along with a fork, and a horse would write a line for each failure.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    tracing.use(provider(role, held(exporter) if forks else BatchSpanProcessor(exporter)))


def _is_installed() -> bool:
    try:
        return find_spec(_PACKAGE) is not None
    except ModuleNotFoundError:  # not even what it would be in
        return False


def provider(role: str, processor: Any) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    resource = Resource.create({"service.role": role})
    if str(resource.attributes.get("service.name", "")).startswith(_UNNAMED):
        resource = resource.merge(Resource({"service.name": tracing.SERVICE}))
    found = TracerProvider(resource=resource)
    found.add_span_processor(processor)
    return found


def held(exporter: SpanExporter, *, now: Callable[[], float] = time.monotonic) -> Any:
    """Hold spans until ``force_flush``, which sends all of them in the thread that calls it.

    After a failure this process, and those that it has forked or will, drop their spans for ``_PAUSE_S`` seconds: each
    would wait for the same collector.
    """
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import SpanExportResult

    quiet_until = memoryview(mmap.mmap(-1, 8)).cast("d")

    class Held(SpanProcessor):
        def __init__(self) -> None:
            self._spans: list[ReadableSpan] = []

        def on_end(self, span: ReadableSpan) -> None:
            if span.context is not None and span.context.trace_flags.sampled:
                self._spans.append(span)

        def force_flush(self, timeout_millis: int = 0) -> bool:
            del timeout_millis
            spans, self._spans = self._spans, []
            if not spans or now() < quiet_until[0]:
                return False
            told = exporter.export(spans) is SpanExportResult.SUCCESS
            if not told:
                quiet_until[0] = now() + _PAUSE_S
            return told

        def shutdown(self) -> None:
            self.force_flush()

    return Held()
