"""What needs a human: every trouble has a notice with a remedy, and none comes without trouble."""

from dataclasses import replace

import pytest

from receiver.console.attention import BAD, WARN, Known, Room, Spooled, anchor, notices
from receiver.console.figures import figures
from workers.hours import Hour
from workers.parked import Group
from workers.standing import BudgetState
from workers.work import LANES

BUDGET = BudgetState(
    allowed=5, window_s=1.0, used=2, free=3, waiting={"fetch": 0}, pause_s=0.0, pause_reason="", breaker="closed",
    margin_ms=0, credentials_ok=True, refused={}, given={},
)  # fmt: skip
WELL = Known(
    at=1_800_000_000.0,
    redis=True,
    spool=Spooled(0, 0, 0.0),
    room=Room(10**11, 10**9, paused=False),
    jobs={"finished": 3},
    due={"deliver": (0, 0.0)},
    day=[Hour(1_799_996_400 + 3600 * n) for n in range(24)],
    budgets={"default": BUDGET},
    groups=(),
    clock=dict.fromkeys(LANES, 0.1),
    hands=dict.fromkeys(LANES, 2),
    busy=dict.fromkeys(LANES, 0),
    present={"web": 2, "courier": 1, "clock": 1},
    storage={"": 12.0},
    storage_warn=80.0,
    deliveries_parked=0,
    archive_soon=0,
)
TROUBLES = {
    "Redis does not answer": (BAD, {"redis": False}),
    "The spool cannot be read": (BAD, {"spool": None}),
    "Callbacks set aside": (BAD, {"spool": Spooled(0, 2, 0.0)}),
    "The spool fills up": (BAD, {"spool": Spooled(900, 0, 0.6)}),
    "Callbacks in the spool": (WARN, {"spool": Spooled(1, 0, 0.01)}),
    "No clock": (BAD, {"clock": {"upstream": 0.1, "files": None}}),
    "No worker": (BAD, {"hands": {"upstream": 1, "files": 0}}),
    "No courier": (BAD, {"due": {"deliver": (4, 1.0)}, "present": {"web": 1}}),
    "Swiftia refuses the key": (BAD, {"budgets": {"default": replace(BUDGET, credentials_ok=False, pause_s=9.0)}}),
    "Swiftia is away": (WARN, {"budgets": {"default": replace(BUDGET, breaker="open", pause_s=9.0)}}),
    "Too little credit": (WARN, {"groups": (Group("no-credit", 3, 0.0),)}),
    "Archived soon": (WARN, {"archive_soon": 1}),
    "Deliveries parked": (WARN, {"deliveries_parked": 1}),
    "The disk is full": (BAD, {"room": Room(10, 10**9, paused=True)}),
    "Swiftia's storage fills up": (WARN, {"storage": {"": 81.0}}),
}


def test_where_all_is_well_there_is_nothing_to_do():
    assert notices(WELL) == []


@pytest.mark.parametrize(("what", "told"), TROUBLES.items())
def test_each_trouble_is_told_with_what_to_do(what, told):
    level, changes = told
    (notice,) = notices(replace(WELL, **changes))
    assert (notice.what, notice.level) == (what, level)
    assert notice.tells
    assert notice.do


def test_the_worst_comes_first():
    found = notices(replace(WELL, archive_soon=1, hands={"upstream": 0, "files": 1}))
    assert [notice.level for notice in found] == [BAD, WARN]


def test_many_reasons_are_told_in_few_words():
    groups = tuple(Group(f"~reason {chr(97 + n)}", 9 - n, 0.0) for n in range(8))
    found = notices(replace(WELL, groups=groups))
    assert [notice.tells for notice in found][-1] == "14 jobs parked for 4 other reasons."
    assert found[0].href == f"/parked#{anchor('~reason a')}"


def test_of_several_accounts_the_one_is_named():
    refused = replace(BUDGET, credentials_ok=False)
    (notice,) = notices(replace(WELL, budgets={"default": BUDGET, "acme": refused}))
    assert "acme" in notice.what


@pytest.mark.parametrize("changes", [{}, *(changes for _, changes in TROUBLES.values())])
def test_there_is_a_figure_for_everything_that_can_be(changes):
    shown = figures(replace(WELL, **changes))
    assert len(shown.rows) == 24
    assert shown.tell_ended(23) == "this hour: 0 finished, 0 failed, 0 parked"
    assert shown.tell_kept(22).startswith("1 hour ago")
    assert all(line.level in {"ok", "warn", "bad", "none"} for line in shown.lines)


def test_before_anything_is_known_there_are_figures_too():
    nothing = replace(
        WELL, redis=False, jobs={}, day=(), budgets={}, clock={}, hands={}, busy={}, present={}, spool=None
    )
    assert figures(nothing).rows == []
