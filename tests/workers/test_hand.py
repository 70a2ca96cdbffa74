"""Records in hand: whatever a script does to them, it sees and leaves what Redis itself would have shown and kept."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import OutOfMemoryError

from workers.scripts import source

KEYS = ("t:first", "t:second")
FIELDS = st.sampled_from(["state", "tries", "note"])
VALUES = st.text("abc", max_size=3) | st.integers(0, 2**40) | st.integers(0, 4000).map(lambda n: n / 4)
WORDS = st.one_of(
    st.tuples(st.just("HGET"), FIELDS),
    st.tuples(st.just("HMGET"), FIELDS),
    st.tuples(st.just("HMGET"), FIELDS, FIELDS, FIELDS, FIELDS),
    st.tuples(st.just("HEXISTS"), FIELDS),
    st.tuples(st.just("EXISTS")),
    st.tuples(st.just("DEL")),
    st.tuples(st.just("HLEN")),
    st.tuples(st.just("HSET"), FIELDS, VALUES),
    st.tuples(st.just("HSET"), st.just("state"), VALUES, st.just("note"), VALUES),
    st.tuples(st.just("HSETNX"), FIELDS, VALUES),
    st.tuples(st.just("HDEL"), FIELDS),
    st.tuples(st.just("HDEL"), FIELDS, FIELDS),
    st.tuples(st.just("HINCRBY"), st.just("count"), st.integers(-3, 3)),
)
CALLS = st.lists(st.tuples(st.sampled_from(KEYS), WORDS), max_size=12)

SCRIPT = (
    source("hand")
    + """
for _, key in ipairs(cjson.decode(ARGV[2])) do take_up(key) end
local answers = {}
local ways = {HGET = get, HSET = set}
function ways.HMGET(key, ...) return {unpack({pick(key, ...)}, 1, select('#', ...))} end
for i, given in ipairs(cjson.decode(ARGV[1])) do
  local key, words = given[1], given[2]
  local way = i % 2 == 1 and ways[words[1]] -- both ways, in turns
  local answer
  if way then answer = way(key, unpack(words, 2)) else answer = call(words[1], key, unpack(words, 2)) end
  -- What the ledger never asks, how much a HSET, a HDEL or a DEL has changed, is not told of what is in hand.
  local untold = words[1] == 'HSET' or words[1] == 'HDEL' or words[1] == 'DEL'
  if not untold then answers[#answers + 1] = cjson.encode({answer}) end
end
put_all_down()
return answers
"""
)


def left_by(redis: Redis, calls: object, held: list[str], before: dict[str, str]) -> object:
    redis.delete(*KEYS)
    if before:
        redis.hset(KEYS[0], mapping=before)
    answers = redis.eval(SCRIPT, 0, json.dumps(calls), json.dumps(held))
    return answers, [redis.hgetall(key) for key in KEYS]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, before=st.dictionaries(FIELDS, st.text("xyz", max_size=3)), held=st.lists(st.sampled_from(KEYS)))
def test_nobody_can_tell_whether_a_record_is_in_hand(
    redis: Redis, calls: object, before: dict[str, str], held: list[str]
) -> None:
    assert left_by(redis, calls, held, before) == left_by(redis, calls, [], before)


def test_a_record_in_hand_is_read_once_and_written_twice_at_most(redis: Redis) -> None:
    calls = [[KEYS[0], ["HSET", "state", str(n)]] for n in range(20)] + [[KEYS[0], ["HGET", "state"]]] * 20
    redis.config_resetstat()
    left_by(redis, calls, [KEYS[0]], {})
    stats = redis.info("commandstats")
    assert stats["cmdstat_hset"]["calls"] == 2  # the first at once, and one for all others
    assert "cmdstat_hget" not in stats


def test_a_full_server_refuses_the_first_write_and_nothing_is_half_done(redis: Redis) -> None:
    script = source("hand") + (
        "take_up('t:first') call('HSET', 't:first', 'a', 1) call('SADD', 't:others', 1) put_all_down() return 1"
    )
    redis.delete(*KEYS, "t:others")
    limit = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", 1)
    try:
        with pytest.raises(OutOfMemoryError):
            redis.eval(script, 0)
    finally:
        redis.config_set("maxmemory", limit)
    assert redis.exists("t:first", "t:others") == 0
