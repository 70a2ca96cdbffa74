from hypothesis import given
from hypothesis import strategies as st

from receiver.console.charts import bars, share, spans, top_of

counts = st.lists(st.integers(0, 10**7), min_size=24, max_size=24)
seconds = st.floats(0.001, 1e7)
pairs = st.lists(st.one_of(st.none(), st.tuples(seconds, seconds).map(sorted).map(tuple)), min_size=1, max_size=24)


def boxes(chart):
    return [box for column in chart.columns for box in column.boxes]


def inside(box):
    return box.x >= 0 and box.x + box.width <= 100.02 and box.y >= 0 and box.y + box.height <= 100.02


@given(st.integers(0, 10**12))
def test_a_scale_holds_what_it_is_made_for_and_not_much_more(most):
    assert most <= top_of(most) <= max(1, 2.5 * most)


@given(counts, counts)
def test_bars_stay_inside_and_each_count_is_seen(one, other):
    chart = bars({"one": one, "other": other})
    assert all(inside(box) and box.height > 0 for box in boxes(chart))
    for hour, column in enumerate(chart.columns):
        shown = [box.kind for box in column.boxes]
        assert ("one" in shown) == (one[hour] > 0)
        assert ("other" in shown) == (other[hour] > 0)
    assert chart.empty == (not any(one) and not any(other))


@given(counts)
def test_of_two_hours_the_one_with_more_is_no_lower(one):
    heights = [sum(box.height for box in column.boxes) for column in bars({"one": one}).columns]
    order = sorted(range(24), key=lambda hour: one[hour])
    assert [heights[hour] for hour in order] == sorted(heights)


@given(pairs)
def test_spans_stay_inside_and_marks_fall(values):
    chart = spans(values)
    assert all(inside(box) for box in boxes(chart))
    assert [bool(column.boxes) for column in chart.columns] == [value is not None for value in values]
    assert [mark.value for mark in chart.marks] == sorted((mark.value for mark in chart.marks), reverse=True)
    assert all(0 <= mark.y <= 100 for mark in chart.marks)


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 10**7)))
def test_a_share_fills_the_whole_and_leaves_nothing_out(parts):
    laid = share(parts)
    assert {box.kind for box in laid} == {kind for kind, count in parts.items() if count}
    assert all(box.width > 0.5 for box in laid)
    assert not laid or abs(sum(box.width for box in laid) - 100) < 0.1


def test_nothing_is_drawn_of_nothing():
    assert bars({}).empty
    assert spans([None] * 24).empty
    assert share({}) == ()
