"""The tables of states and work: closed, without dead ends, and in step with each other."""

from enum import StrEnum

import pytest

from workers import work
from workers.states import (
    DELIVERY_MOVES,
    DELIVERY_SETTLED,
    JOB_MOVES,
    JOB_SETTLED,
    REF_MOVES,
    RENDER_MOVES,
    RENDER_SETTLED,
    SHOWN_REF,
    DeliveryState,
    JobState,
    RefState,
    RenderState,
)

Moves = dict[str, frozenset[str]]
TABLES = [
    pytest.param(JOB_MOVES, JobState, JOB_SETTLED, id="jobs"),
    pytest.param(RENDER_MOVES, RenderState, RENDER_SETTLED, id="renders"),
    pytest.param(DELIVERY_MOVES, DeliveryState, DELIVERY_SETTLED, id="deliveries"),
]


def reachable(moves: Moves, start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead.extend(moves[state])
    return seen


@pytest.mark.parametrize(("moves", "states", "ends"), TABLES)
def test_every_state_has_its_line_and_every_target_is_a_state(
    moves: Moves, states: type[StrEnum], ends: frozenset[str]
) -> None:
    assert set(moves) == set(states)
    assert set().union(*moves.values()) <= set(states)
    assert ends <= set(states)


@pytest.mark.parametrize(("moves", "states", "ends"), TABLES)
def test_from_everywhere_there_is_a_way_to_an_end(moves: Moves, states: type[StrEnum], ends: frozenset[str]) -> None:
    for state in states:
        assert reachable(moves, state) & ends, state


@pytest.mark.parametrize(("moves", "states", "ends"), TABLES)
def test_every_state_is_met_and_whatever_is_under_way_can_be_parked(
    moves: Moves, states: type[StrEnum], ends: frozenset[str]
) -> None:
    assert reachable(moves, next(iter(states))) == set(states)
    for state in set(states) - ends:
        assert "parked" in moves[state], state


def test_a_submission_is_linked_by_its_job_id_alone() -> None:
    assert set(REF_MOVES) == set(RefState) - {RefState.LINKED}
    assert set().union(*REF_MOVES.values()) <= set(REF_MOVES)
    for state in REF_MOVES:
        assert reachable(REF_MOVES, state) & {"failed", "parked"}, state


def test_a_submission_is_shown_in_the_words_of_jobs() -> None:
    assert set(SHOWN_REF) == set(RefState) - {RefState.OPEN, RefState.LINKED}
    assert set(SHOWN_REF.values()) <= set(JobState)


def test_every_unsettled_state_calls_for_a_step() -> None:
    # A job that is rendering is carried by its renders.
    assert set(work.STEP_OF_JOB) == set(JobState) - JOB_SETTLED - {JobState.RENDERING}
    assert set(work.STEP_OF_RENDER) == set(RenderState) - RENDER_SETTLED
    assert set(work.STEP_OF_DELIVERY) == set(DeliveryState) - DELIVERY_SETTLED
    assert set(work.STEP_OF_REF) == {RefState.OPEN, RefState.QUEUED, RefState.SUBMITTING}


def test_every_step_has_a_class_and_every_class_a_lane() -> None:
    assert set(work.CLASS_OF_JOB) == set(work.STEP_OF_JOB)
    steps = {*work.STEP_OF_RENDER.values(), *work.STEP_OF_REF.values(), *work.STEP_OF_DELIVERY.values()}
    assert steps == set(work.CLASS_OF_STEP)
    classes = {*work.CLASS_OF_JOB.values(), *work.CLASS_OF_STEP.values()}
    assert classes == set(work.LANE_OF_CLASS)
    assert len(work.LANE_OF_CLASS) == sum(len(names) for names in work.CLASSES.values()) + 1  # deliver has no queue
    assert set(work.CLASSES) == set(work.LANES) == set(work.STEP_TIMEOUT_S)


def test_a_lease_is_renewed_several_times_before_it_ends() -> None:
    assert work.RENEW_EVERY_S * 3 < work.LEASE_S
