from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.gate import ASK_EVERY_S, Gate

STEPS = st.lists(
    st.tuples(st.sampled_from(["failed", "took", "took late", "ask"]), st.floats(0, 2, allow_nan=False)), max_size=40
)


def test_it_is_open_at_first_and_has_nothing_to_ask():
    assert Gate().open
    assert not Gate().is_due(1e9)


def test_a_failure_shuts_it_until_a_write_that_began_later():
    shut = Gate().failed(10.0)
    assert not shut.open
    assert not shut.is_due(10.0 + ASK_EVERY_S - 0.01)
    assert shut.is_due(10.0 + ASK_EVERY_S)
    assert not shut.took(began=9.0).open
    assert shut.took(began=10.1).open


@given(STEPS)
def test_whatever_happens_it_is_open_only_when_the_last_news_is_good(steps):
    gate, now, failed, asked = Gate(), 0.0, None, []
    for what, seconds in steps:
        now += seconds
        match what:
            case "failed":
                gate, failed = gate.failed(now), now
            case "took":
                gate = gate.took(began=now)
                failed = None if failed is None or now > failed else failed
            case "took late" if failed is not None:
                gate = gate.took(began=failed)
            case "ask" if gate.is_due(now):
                gate, failed = gate.failed(now), now
                asked.append(now)
        assert gate.open == (failed is None)
    assert all(later - earlier >= ASK_EVERY_S for earlier, later in pairwise(asked))
