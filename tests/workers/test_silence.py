import doctest

from hypothesis import given
from hypothesis import strategies as st

from workers import silence
from workers.silence import Silence

SECONDS = st.floats(0, 1e6)


def test_the_examples_hold():
    assert doctest.testmod(silence).failed == 0


@given(st.lists(st.tuples(SECONDS, st.booleans())), st.floats(0.1, 10))
def test_it_is_no_longer_than_the_looks_since_the_last_word(looks, gap_s):
    listening = Silence(gap_s=gap_s)
    now, since = 0.0, 0
    for waited, heard in looks:
        now += waited
        seconds = listening.look(now, heard=heard)
        since = 0 if heard else since + 1
        assert 0 <= seconds <= since * gap_s + 1e-6
        assert not heard or seconds == 0


def test_a_clock_that_goes_back_takes_nothing_away():
    listening = Silence(gap_s=5)
    assert [listening.look(now, heard=False) for now in (10.0, 13.0, 2.0, 3.0)] == [0, 3, 3, 4]
