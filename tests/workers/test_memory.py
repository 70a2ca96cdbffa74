"""What is learnt of renders and jobs: by account and kind, and never in the way."""

from redis import Redis

from workers.history import History, Observation
from workers.memory import JOBS, RENDERS, Memory


def test_each_account_and_kind_learns_for_itself(redis: Redis) -> None:
    memory = Memory(redis)
    memory.learn(RENDERS, memory.of(RENDERS), Observation(length_s=6.0))
    memory.learn(RENDERS, memory.of(RENDERS, "studio"), Observation(length_s=600.0), "studio")
    assert memory.of(RENDERS).count == memory.of(RENDERS, "studio").count == 1
    assert memory.of(RENDERS).expected() < memory.of(RENDERS, "studio").expected()
    assert memory.of(JOBS) == memory.of(RENDERS, "other") == History()


def test_what_is_spoilt_or_out_of_reach_is_as_new(redis: Redis) -> None:
    redis.set("sr:history:renders", b"\xff{")
    assert Memory(redis).of(RENDERS) == History()
    away = Memory(Redis(port=1, retry=None))
    away.learn(RENDERS, away.of(RENDERS), Observation(length_s=60.0))
    assert away.of(RENDERS) == History()
