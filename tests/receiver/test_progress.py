import io
import itertools

import pytest
from rich.console import Console

from receiver.progress import Bars, Lines, board, follow
from receiver.sightings import read_job
from workers.errors import TemporaryError


def job(state, *renders, job_id="j1"):
    return read_job({
        "id": job_id, "ref": "r", "state": state, "progress": 0.5, "title": "[bold]Tide[/bold]",
        "renders": [{"n": n, "state": each, "progress": 0.25} for n, each in enumerate(renders, start=1)],
    })  # fmt: skip


def clock():
    ticks = itertools.count()
    return lambda: float(next(ticks))


def test_it_looks_until_all_are_settled():
    out, moments = io.StringIO(), iter([[job("waiting")], [job("rendering", "queued")], [job("finished", "kept")]])
    with board(out) as shown:
        ended = follow(lambda: next(moments), shown, sleep=lambda _: None, now=clock())
    assert [one.state for one in ended] == ["finished"]
    assert out.getvalue().splitlines() == [
        "j1 waiting",
        "j1/1 queued",
        "j1 rendering",
        "j1/1 kept",
        "j1 finished, 1 of 1 videos",
    ]


def test_a_restart_of_the_service_is_sat_out():
    answers = iter([TemporaryError("away"), TemporaryError("away"), [job("failed")]])

    def look():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert follow(look, Lines(io.StringIO()), sleep=lambda _: None, now=clock())[0].state == "failed"


def test_it_does_not_wait_for_ever_for_a_service_that_is_gone():
    def look():
        raise TemporaryError("nothing answers")

    with pytest.raises(TemporaryError, match="nothing answers"):
        follow(look, Lines(io.StringIO()), sleep=lambda _: None, now=clock())


def test_bars_show_titles_as_they_are():
    out = io.StringIO()
    with Bars(Console(file=out, force_terminal=True, width=120, height=40)) as shown:
        shown.show([job("rendering", "kept", "queued"), job("parked", job_id="j2")])
    assert "[bold]Tide[/bold]" in out.getvalue()
    assert "parked" in out.getvalue()
    assert " 50%" in out.getvalue()
