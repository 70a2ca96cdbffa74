"""Of a library each script gets what it uses, and that means the same there."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from workers.linking import linked, used_constants
from workers.nudges import templates
from workers.scripts import LedgerScripts, source

LIBRARY = """-- What comes first.
local one, two = 1, 2

-- Adds.
local function add(a, b)
  -- inside
  return a + b
end

local function twice(a) return add(a, a) end

local function alone() return one end
"""


def test_what_a_script_uses_comes_with_what_that_uses() -> None:
    assert linked(LIBRARY, "return twice(4)") == (
        "local function add(a, b)\n  return a + b\nend\n\nlocal function twice(a) return add(a, a) end\n\n"
    )


def test_a_word_in_a_comment_is_no_use() -> None:
    assert linked(LIBRARY, "-- not twice, nor one\nreturn 1") == ""


def test_one_name_of_a_definition_brings_all_of_it() -> None:
    assert linked(LIBRARY, "return two") == "local one, two = 1, 2\n\n"


def test_a_part_of_a_name_is_another_name() -> None:
    assert linked(LIBRARY, "return padding, add_up, two_more") == ""


def test_constants_are_those_that_are_asked_for() -> None:
    known = {"lease_ms": 1, "lease": 2, "caps": {"a": 1}, "unused": 3}
    assert used_constants(known, "C.lease_ms + C.caps.a - XC.unused") == {"lease_ms": 1, "caps": {"a": 1}}


@given(library=st.text(), script=st.text())
def test_any_text_gives_definitions_in_their_order(library: str, script: str) -> None:
    found = linked(library, script)
    assert found == linked(found, script)
    assert len(found) <= len(library)


@pytest.mark.parametrize("name", ["accept", "move", "plan", "dispatch", "erase", "link", "pack"])
def test_a_script_names_nothing_that_it_was_not_given(redis: Redis, name: str) -> None:
    """Redis answers an unknown global with an error when the line is run, which may be late: so look for them here."""
    scripts = LedgerScripts(redis, templates(redis))
    text = scripts.text(name)
    library = "\n".join(map(source, ("measures", "hand", "prelude", "rest")))
    defined = set(re.findall(r"^local function (\w+)", library, re.MULTILINE))
    given_to_it = set(re.findall(r"^local function (\w+)", text, re.MULTILINE))
    called = set(re.findall(r"(?<![.:\w])(\w+)\(", text))
    assert called & defined <= given_to_it
    redis.script_load(text)
