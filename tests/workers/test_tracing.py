"""Spans: which there are, what they are part of, what they say; and that nothing is done without being asked for."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from receiver.app import create_app
from tests.targets import target
from tests.workers.scripted import answer, serving
from workers import exporting, swiftia, tracing
from workers.attempts import STEPS
from workers.tokens import token as token_of

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.use(exporting.provider("tests", SimpleSpanProcessor(exporter)))
    yield exporter
    tracing.use(None)


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def parent_of(span: ReadableSpan, among: list[ReadableSpan]) -> str:
    names = {one.context.span_id: one.name for one in among if one.context}
    return "" if span.parent is None else names.get(span.parent.span_id, "elsewhere")


@pytest.mark.parametrize("name", STEPS)
def test_every_step_has_its_name(name):
    assert f"step.{name}" in tracing.NAMES


def test_a_trace_leads_from_the_submission_and_from_the_callback_to_the_application(make_station, spans):
    with target() as application:
        station = make_station(
            sandbox={"shorts": 1}, DELIVERY_URL=f"{application.url}/hook", ADMIN_TOKEN="a-token-of-tests"
        )
        client = create_app(station.services).test_client()
        order = {"functionName": "VideoShorts", "youtubeVideoId": "abcdefghijk", "metadata": {"who": "Zx9-somebody"}}
        headers = {"Authorization": "Bearer a-token-of-tests", "traceparent": PARENT}
        job = client.post("/api/jobs", json=order, headers=headers).json
        token = token_of(job["ref"], station.services.keyring.callback_secrets())
        assert client.post(f"/webhooks/swiftia/{token}", data=b"{}").status_code == 202
        station.until(lambda: station.settled(job["id"]))
        station.until(lambda: deliver(station) or len(application.taken) >= 3)
        told = application.taken
    found = list(spans.get_finished_spans())
    assert {span.name for span in found} <= tracing.NAMES
    submission = [span for span in found if trace_of(span) == TRACE]
    assert [span.name for span in submission] == ["upstream.request", "job.submit"]
    assert parent_of(submission[0], found) == "job.submit"
    assert parent_of(submission[1], found) == "elsewhere", "the caller's"
    (callback,) = [span for span in found if span.name == "callback.receive"]
    rest = [span for span in found if trace_of(span) == trace_of(callback)]
    assert len(rest) + len(submission) == len(found), "all of it is in one of the two"
    for name in ("step.fetch", "step.render", "step.watch", "step.keep", "step.deliver"):
        assert {parent_of(span, found) for span in rest if span.name == name} == {"callback.receive"}
    assert {parent_of(s, found) for s in rest if s.name == "upstream.request"} == {
        "step.fetch",
        "step.render",
        "step.watch",
    }
    assert {parent_of(span, found) for span in rest if span.name == "download"} == {"step.keep"}
    sent = [span for span in rest if span.name == "delivery.send"]
    assert {one.headers["traceparent"][:-3] for one in told} == {f"00-{trace_of(s)}-{id_of(s)}" for s in sent}
    everything = " ".join(span.to_json() for span in found)
    hidden = ("Zx9-somebody", "a-token-of-tests", "sandbox-key", token, job["ref"])
    assert [secret for secret in hidden if secret in everything] == []


def deliver(station) -> bool:
    """Carry out the delivery that is due, if there is one."""
    record = station.services.ledger.take_delivery([])
    if not isinstance(record, (float, type(None))):
        station.services.attempts.carry_out(record)
    return False


def test_an_error_leaves_its_kind_and_not_what_it_says(spans):
    with pytest.raises(ValueError, match="Zx9"), tracing.span("download", route="Bearer Zx9-other"):
        raise ValueError("Zx9-secret")
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes == {"route": "Bearer ***", "error.type": "ValueError"}
    assert "Zx9" not in span.to_json()


@pytest.mark.parametrize("header", ["", "junk", f"00-{'0' * 32}-{'0' * 16}-01", "00-" + "x" * 200, "\x00"])
def test_a_parent_that_is_none_begins_a_trace(spans, header):
    with tracing.span("callback.receive", carrier={"traceparent": header}):
        pass
    (span,) = spans.get_finished_spans()
    assert span.parent is None


def test_swiftia_is_told_nothing_of_traces(spans):
    with serving() as server:
        server.script = answer(200, b'{"id": "job_1"}')
        wire = swiftia.wire(server.url, "a-key")
        with tracing.span("step.submit"):
            swiftia.Swiftia(wire, key="a-key", max_result_bytes=1000).create_job({})
        (asked,) = server.requests
    assert not {"traceparent", "tracestate", "baggage", "x-request-id"} & set(asked.headers)
    assert [span.name for span in spans.get_finished_spans()] == ["upstream.request", "step.submit"]
    assert spans.get_finished_spans()[0].attributes["http.response.status_code"] == 200


class Remembering(SpanExporter):
    def __init__(self, *answers: SpanExportResult) -> None:
        self.batches: list[list[str]] = []
        self._answers = list(answers)

    def export(self, spans) -> SpanExportResult:
        self.batches.append([span.name for span in spans])
        return self._answers.pop(0) if self._answers else SpanExportResult.SUCCESS


def test_what_is_held_is_told_at_once_when_it_is_flushed():
    exporter = Remembering()
    tracing.use(exporting.provider("tests", exporting.held(exporter)))
    try:
        with tracing.span("step.fetch"), tracing.span("upstream.request"):
            assert tracing.traceparent()
        assert exporter.batches == []
        tracing.flush()
        tracing.flush()
        assert exporter.batches == [["upstream.request", "step.fetch"]]
    finally:
        tracing.use(None)


def test_a_collector_that_takes_nothing_is_left_alone_for_a_while_also_by_other_forks():
    clock, exporter = [100.0], Remembering(SpanExportResult.FAILURE)
    tracing.use(exporting.provider("tests", exporting.held(exporter, now=lambda: clock[0])))
    try:
        if (child := os.fork()) == 0:
            told()
            os._exit(0)
        os.waitpid(child, 0)
        told()
        assert exporter.batches == [], "the failure was the child's"
        clock[0] += 31
        told()
        assert exporter.batches == [["download"]]
    finally:
        tracing.use(None)


def told() -> None:
    with tracing.span("download"):
        pass
    tracing.flush()


WANTED = [
    ({}, False),
    ({"OTEL_SERVICE_NAME": "x"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
    ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
]


@pytest.mark.parametrize(("env", "wanted"), WANTED)
def test_the_environment_decides(env, wanted):
    assert exporting.is_wanted(env) is wanted


def test_without_being_asked_nothing_is_loaded_and_nothing_is_done():
    code = (
        "import sys\n"
        "from workers import exporting, tracing\n"
        "import receiver.app, workers.worker, workers.courier\n"
        "exporting.start('web', env={})\n"
        "with tracing.span('download', size=1) as span: span.set(size=2)\n"
        "assert tracing.traceparent() == ''\n"
        "assert tracing.span('download') is tracing.span('download')\n"
        "tracing.flush()\n"
        # The client of Redis looks by itself whether it is there.
        "parts = ('opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.proto')\n"
        "print([name for name in sys.modules if name.startswith(parts)])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
