"""The constants of the scripts: what Python writes, a real Lua reads as the same value."""

import json
import re
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from workers.budget import Budget
from workers.constants import constants, lua_literal
from workers.identifiers import JobSubject
from workers.ledger import Ledger
from workers.limits import RateLimit
from workers.nudges import templates
from workers.scripts import LedgerScripts
from workers.states import JobState

# These have constants of their own.
OF_THE_BUDGET = {"budget.lua", "take.lua", "settle.lua", "peek.lua", "rewind.lua"}
TEXT = st.text(max_size=20)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
# An empty table is an empty list and an empty mapping; nothing of ours asks which.
VALUES = st.recursive(
    st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(TEXT, inner, min_size=1, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=VALUES)
def test_any_value_arrives_as_it_is(redis: Redis, value: object) -> None:
    # Numbers go back as text: a script answers whole numbers only, and its JSON keeps 14 digits.
    script = f"""
        local function told(value)
          if type(value) == 'number' then return 'n' .. string.format('%.17g', value) end
          if type(value) == 'string' then return 's' .. value end
          if type(value) == 'boolean' then return value and 't' or 'f' end
          local all = {{}}
          if #value > 0 then
            for _, item in ipairs(value) do all[#all + 1] = {{'', told(item)}} end
          else
            for key, item in pairs(value) do all[#all + 1] = {{key, told(item)}} end
          end
          return all
        end
        return told({lua_literal(value)})
    """
    assert heard(redis.eval(script, 0), value) == value


def heard(told: object, like: object) -> object:
    """Read what the script told of a value that should be ``like`` that one."""
    if isinstance(told, list):
        pairs = [(name.decode("utf-8", "surrogatepass"), item) for name, item in told]
        if isinstance(like, dict):
            return {name: heard(item, like.get(name)) for name, item in pairs}
        assert isinstance(like, list)
        return [heard(item, one) for (_, item), one in zip(pairs, like, strict=True)]
    assert isinstance(told, bytes)
    kind, rest = told[:1], told[1:]
    match kind:
        case b"n":
            return float(rest)
        case b"s":
            return rest.decode()
    return kind == b"t"


@pytest.mark.parametrize(
    "text",
    ["é", "\u2028", "\x00", "\x7f", "\\", '"', "\\u0041", "\n\r\t\b\f\v", "]]", "0\x009", "%s", "\U0001f600", "\ud800"],
)
def test_no_sign_is_lost(redis: Redis, text: str) -> None:
    assert redis.eval(f"return {lua_literal(text)}", 0) == text.encode("utf-8", "surrogatepass")


def test_a_set_is_looked_up_by_its_members(redis: Redis) -> None:
    literal = lua_literal({JobState.WAITING: frozenset({"a", "b"})})
    assert redis.eval(f"local t = {literal} return t.waiting.a and not t.waiting.z", 0) == 1


def test_what_lua_has_no_form_for_is_refused() -> None:
    for value in (None, b"x", object(), float("nan"), float("inf"), -float("inf")):
        with pytest.raises(TypeError, match="no Lua form"):
            lua_literal(value)


def test_the_scripts_see_every_constant_they_name(redis: Redis) -> None:
    named = set()
    for script in files("workers").joinpath("lua").iterdir():
        if script.name not in OF_THE_BUDGET:
            named |= set(re.findall(r"\bC\.([a-z_]+)", script.read_text()))
    assert named <= set(constants(templates(redis)))
    assert "lease_ms" in named


def test_the_nudge_arrives_as_rq_wrote_it(redis: Redis) -> None:
    literal = lua_literal(constants(templates(redis)))
    for lane, nudge in templates(redis).items():
        data = redis.eval(f"local C = {literal} return C.nudge.{lane}.data", 0)
        assert data.decode() == nudge.data
        assert json.loads(data) == ["workers.jobs.run_step", None, ["@STEP@", "@SUBJECT@", "@ATTEMPT@"], {}]


def test_a_script_is_loaded_again_after_the_server_has_forgotten_it(redis: Redis) -> None:
    scripts = LedgerScripts(redis, templates(redis))
    arguments = {"now": "1", "subject": "job_1", "attempt": "1"}
    assert scripts.run("renew", arguments) == 0
    redis.script_flush()
    assert scripts.run("renew", arguments) == 0


def test_one_process_after_the_other_loads_the_same_scripts(redis):
    """Redis keeps each script that it has seen: what differed from start to start would fill its memory."""
    redis.script_flush()
    for _ in range(3):
        Ledger(redis).check()
    assert redis.info("memory")["number_of_cached_scripts"] == 1


def test_what_a_step_uses_is_read_before_the_fork(redis: Redis) -> None:
    ledger, budget = Ledger(redis), Budget(redis, RateLimit(1, 1000))
    opened: list[str] = []

    def heard_of(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and str(args[0]).endswith(".lua"):
            opened.append(Path(str(args[0])).stem)

    sys.addaudithook(heard_of)
    ledger.read_scripts()
    budget.read_scripts()
    assert {"begin", "move", "plan", "take", "settle"} <= set(opened)
    ledger.accept(ref="", job_id="job_1", receipt="r", digest="d", meta={}, body=b"")
    opened.clear()
    record = ledger.begin(JobSubject("job_1"), "fetch", 1)
    assert record is not None
    with budget.slot("fetch", "job_1"):
        ledger.plan(record, [], {"shorts": 0})
    ledger.drop_bodies(JobSubject("job_1"), ["r"])
    assert opened == []
