import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.benchmark import measured, percentiles, summary


def answer(**moments: str) -> dict[str, object]:
    timeline = [{"at": f"2026-11-22T01:50:{at}Z", "event": name} for name, at in moments.items()]
    return {"id": "j1", "state": "finished", "timeline": timeline}


def test_the_time_runs_from_the_first_callback():
    document = answer(callback="10.000", result="10.250", finished="12.500")
    document["timeline"] = [*document["timeline"], {"at": "2026-11-22T01:50:20Z", "event": "callback"}]
    found = measured(document)
    assert (found.kept_s, found.finished_s) == (0.25, 2.5)


def test_what_was_not_measured_is_counted():
    found = [measured(answer(callback="10", result="11")), measured(answer(result="11")), measured({"timeline": "?"})]
    told = summary(found)
    assert told["jobs"] == 3
    assert told["callback_to_result_kept_s"] == {"missing": 2, "p50": 1.0, "p95": 1.0, "max": 1.0}
    assert told["callback_to_all_kept_s"] == {"missing": 3}


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=60))
@settings(max_examples=100)
def test_percentiles_are_ordered_and_p95_was_measured(values):
    found = percentiles(values)
    assert found["p95"] in values
    assert found["max"] == max(values)
    assert found["p50"] <= found["p95"] + 0.001
    assert sum(value <= found["p95"] for value in values) >= 0.95 * len(values)


def test_nothing_measured_is_no_error():
    assert percentiles([]) == {"missing": 0}
    assert percentiles([0.5]) == pytest.approx({"missing": 0, "p50": 0.5, "p95": 0.5, "max": 0.5})
