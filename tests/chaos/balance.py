"""The books after a run: ours, read from the keys and from the API, against those of the sandbox."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from tests.chaos.load import Load
from tests.chaos.machine import SETTLED, Machine
from tests.targets import Target


@dataclass
class Balance:
    """``violations``: what may never be. ``figures``: what was found, for the table."""

    violations: list[str] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def must(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.violations.append(otherwise)


def is_quiet(machine: Machine) -> bool:
    """Tell whether nothing is due, nothing waits in the spool, and no body waits for its place."""
    spool = machine.http.get("/readyz").json()["spool"]
    with machine.redis() as redis:
        return not _due(redis) and not redis.zcard("sr:unarchived") and spool == {"count": 0, "bytes": 0}


def balance(machine: Machine, load: Load, books: dict[str, Any], app: Target | None = None) -> Balance:
    found = Balance()
    with machine.redis() as redis:
        due = _due(redis)
        subjects = {name.decode() for index in redis.keys("sr:jobs:*") for name in redis.zrange(index, 0, -1)}
    found.must(not due, f"still due: {due}")
    found.must(books["unknown_targets"] == 0, "a render was asked for a short that does not exist")
    found.must(not books["crashes"], f"the sandbox itself failed: {books['crashes'][:1]}")
    jobs = {name: machine.job(name.removeprefix("ref:")) for name in sorted(subjects)}
    ended = Counter(str(job["state"]) for job in jobs.values())
    found.must(set(ended) <= set(SETTLED), f"not ended: {dict(ended)}")
    found.figures["known here"] = f"{len(jobs)}: " + ", ".join(f"{ended[state]} {state}" for state in SETTLED)
    _submissions(found, load, books, jobs)
    _callbacks(found, load, books, jobs)
    _renders(found, machine, books, jobs)
    if app is not None:
        _deliveries(found, app, jobs)
    return found


def _due(redis: Redis) -> list[str]:
    return [member.decode() for key in redis.keys("sr:due:*") for member in redis.zrange(key, 0, -1)]


def _submissions(found: Balance, load: Load, books: dict[str, Any], jobs: dict[str, Any]) -> None:
    """Every submission has one job at most, and every job that the sandbox made has an end here."""
    made = Counter(job["video"] for job in books["jobs"].values())
    for item in load.items:
        found.must(made[item.video] <= 1, f"{item.video} was submitted {made[item.video]} times")
    orphans = {name: job for name, job in books["jobs"].items() if name not in jobs}
    # The answer to their submission was lost: they stand here as a ref that a person must look at.
    named = [job for name, job in jobs.items() if name.startswith("ref:") and job["state"] == "parked"]
    known_refs = {job["ref"] for job in named}
    lost = [name for name, job in orphans.items() if not any(ref in job["webhook"] for ref in known_refs)]
    found.must(not lost, f"jobs at Swiftia that nobody here knows of: {lost}")
    unknown = [item.video for item in load.items if item.name and item.name not in _names(jobs)]
    found.must(not unknown, f"submissions that were answered and are gone: {unknown}")
    twice = sum(count > 1 for count in made.values())
    found.figures["submitted"] = f"{len(load.items)}; at Swiftia {len(books['jobs'])} jobs, {twice} submitted twice"
    found.figures["answers lost and parked by name"] = len(orphans)


def _names(jobs: dict[str, Any]) -> set[str]:
    return {str(name) for job in jobs.values() for name in (job["id"], job["ref"]) if name}


def _callbacks(found: Balance, load: Load, books: dict[str, Any], jobs: dict[str, Any]) -> None:
    ours = {(str(name), entry["receipt"]) for name, job in jobs.items() for entry in job["callbacks"]}
    names = {str(job["ref"]): str(job["id"]) for job in jobs.values() if job["id"]}
    mine = {(names.get(job, job), receipt) for job, receipt in load.acknowledged}
    missing = sorted(mine - ours)
    found.must(not missing, f"{len(missing)} acknowledged callbacks are gone: {missing[:5]}")
    theirs: Counter[str] = Counter(call["job"] for call in books["callbacks"] if call["status"] == 202)
    for job_id, count in theirs.items():
        kept = len(jobs.get(job_id, {}).get("callbacks", ()))
        owner = next((job for job in jobs.values() if job["ref"] and job["ref"] in _webhook(books, job_id)), None)
        found.must(
            max(kept, len(owner["callbacks"]) if owner else 0) >= count,
            f"{job_id}: {count} callbacks were acknowledged, {kept} are here",
        )
    refused = Counter(str(call["status"] or call["error"]) for call in books["callbacks"] if call["status"] != 202)
    found.figures["Swiftia's that were not answered 202"] = dict(refused)
    told = f"{len(load.acknowledged) + theirs.total()} acknowledged of {load.sent + len(books['callbacks'])}"
    found.figures["callbacks"] = f"{told}, {len(missing)} lost"


def _webhook(books: dict[str, Any], job_id: str) -> str:
    return str(books["jobs"].get(job_id, {}).get("webhook", ""))


def _renders(found: Balance, machine: Machine, books: dict[str, Any], jobs: dict[str, Any]) -> None:
    """One render per short, but where the timeline says that a crash left it open; and every file whole."""
    whole = doubled = unsure = 0
    for job_id, job in jobs.items():
        if not job["id"]:
            continue
        started: dict[str, int] = books["renders_per_short"].get(job_id, {})
        said = sum(event["event"] == "render.unsure" for event in job["timeline"])
        more = sum(started.values()) - len(started)
        found.must(more <= said, f"{job_id}: {more} renders too many, {said} times unsure: {started}")
        doubled, unsure = doubled + more, unsure + said
        if job["state"] == "finished":
            found.must(
                len(started) == len(job["renders"]), f"{job_id}: {len(started)} renders of {len(job['renders'])}"
            )
        for render in job["renders"]:
            if render["state"] == "kept":
                whole += _is_whole(found, machine, books, job_id, render)
    found.figures["renders"] = f"{len(books['renders'])} started, {doubled} twice, {unsure} times unsure"
    kept = sum(render["state"] == "kept" for job in jobs.values() for render in job["renders"])
    found.figures["videos kept"] = f"{kept}, {whole} of them with the sandbox's SHA-256"


def _is_whole(found: Balance, machine: Machine, books: dict[str, Any], job_id: str, render: dict[str, Any]) -> int:
    path = machine.folder / "data" / "artifacts" / "jobs" / job_id / "renders" / f"{render['n']}.mp4"
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
    theirs = books["renders"][render["render_id"]]["sha256"]
    found.must(digest == theirs == render["sha256"], f"{path}: {digest}, theirs is {theirs}: {json.dumps(render)}")
    return int(digest == theirs)


def _deliveries(found: Balance, app: Target, jobs: dict[str, Any]) -> None:
    """The team's application was told of everything, of each job in its order."""
    taken = dict.fromkeys(one.id for one in app.taken)
    told = 0
    for name, job in jobs.items():
        ours = job["deliveries"]
        told += len(ours)
        missing = [one for one in ours if one["state"] != "delivered" or one["id"] not in taken]
        found.must(not missing, f"{name}: the application was not told: {missing}")
        again = {event["delivery"] for event in job["timeline"] if event["event"] == "delivery.parked"}
        in_order = [one["id"] for one in ours if one["n"] not in again]
        of_these = set(in_order)
        found.must([one for one in taken if one in of_these] == in_order, f"{name}: told in another order: {in_order}")
        events = Counter(str(one["event"]) for one in ours)
        kept = sum(render["state"] == "kept" for render in job["renders"])
        found.must(events["render.kept"] == kept, f"{name}: {kept} videos are kept, and told of are {dict(events)}")
        last = {"finished": "job.finished", "failed": "job.failed", "parked": "job.parked"}[job["state"]]
        found.must(ours and ours[-1]["event"] == last, f"{name} is {job['state']}, and told of are {dict(events)}")
    twice = len(app.taken) - len(taken)
    found.figures["deliveries"] = f"{told} events, {len(taken)} taken in {app.count} tries, {twice} of them once more"


def parked_reasons(machine: Machine) -> Counter[str]:
    """Count what is parked by its reason, without the parts that differ from case to case."""
    reasons: Counter[str] = Counter()
    with machine.redis() as redis:
        for name in redis.zrange("sr:jobs:parked", 0, -1):
            reason = str(machine.job(name.decode().removeprefix("ref:"))["reason"])
            reasons[reason.partition(" parked: ")[2] or reason] += 1
    return reasons
