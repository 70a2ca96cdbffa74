import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from workers import logs
from workers.settings import Settings


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    before, own = (root.handlers[:], root.level), structlog.get_config()
    yield
    root.handlers[:], level = before[0], before[1]
    root.setLevel(level)
    structlog.configure(**own)


def fail(local: str) -> None:
    raise ValueError("Bearer abcdef at /webhooks/swiftia/abc.def" + local[:0])


def written(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_time_and_level():
    out = io.StringIO()
    logs.configure(Settings(log_format="json"), stream=out)
    structlog.get_logger().info("step.attempted", subject="j1/2", ms=12)
    (line,) = written(out)
    assert line["event"] == "step.attempted"
    assert (line["subject"], line["ms"], line["level"]) == ("j1/2", 12, "info")
    assert str(line["timestamp"]).endswith("Z")


def test_the_words_of_libraries_take_the_same_way():
    out = io.StringIO()
    logs.configure(Settings(log_format="json"), stream=out)
    logging.getLogger("gunicorn.error").warning("at %s", "redis://u:p@h/0", extra={"token": "t"})
    (line,) = written(out)
    assert line["event"] == "at redis://***@h/0"
    assert (line["logger"], line["token"], line["level"]) == ("gunicorn.error", "***", "warning")


def test_a_logger_made_before_the_setup_follows_it():
    early = structlog.get_logger("early")
    first, second = io.StringIO(), io.StringIO()
    for out in (first, second):
        logs.configure(Settings(log_format="json"), stream=out)
        early.info("hello")
    assert len(written(first)) == len(written(second)) == 1


def test_the_level_holds_for_both():
    out = io.StringIO()
    logs.configure(Settings(log_format="json", log_level="warning"), stream=out)
    structlog.get_logger().info("quiet")
    logging.getLogger("somebody").info("quiet")
    logging.getLogger("httpx2").warning("loud")
    assert [line["event"] for line in written(out)] == ["loud"]


def test_requests_of_the_http_client_are_told_on_no_level_below_warning():
    out = io.StringIO()
    logs.configure(Settings(log_format="json", log_level="debug"), stream=out)
    logging.getLogger("httpx2").info("HTTP Request: POST ...")
    assert not out.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_neither_secrets_nor_local_variables(log_format):
    out = io.StringIO()
    logs.configure(Settings(log_format=log_format), stream=out)
    try:
        fail(local="of-a-" + "local-variable")
    except ValueError:
        structlog.get_logger().exception("step.crashed")
        logging.getLogger("library").exception("crashed")
    assert out.getvalue().count("ValueError: Bearer *** at /webhooks/swiftia/***") == 2
    assert "of-a-local-variable" not in out.getvalue()


def test_auto_is_for_people_on_a_terminal_and_json_elsewhere():
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        logs.configure(Settings(), stream=out)
        structlog.get_logger().info("hello")
    assert not terminal.getvalue().startswith("{")
    assert written(pipe)[0]["event"] == "hello"


def test_nothing_from_outside_steers_the_terminal_or_forges_a_line():
    out = io.StringIO()
    logs.configure(Settings(log_format="console"), stream=out)
    structlog.get_logger().info("job.known", title="a\x1b[2J\x9b2J\r\nfake line", other="\x07")
    assert out.getvalue().count("\n") == 1
    assert not {"\x1b", "\x9b", "\r", "\x07"} & set(out.getvalue())
