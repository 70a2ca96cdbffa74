"""The command that says what a load would ask of an allowance, before anything is bought."""

import json
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from receiver.table import size_text
from workers.errors import InvalidInput
from workers.limits import PLANS, RateLimit, parse_rate_limit
from workers.planning.load import Load
from workers.planning.needs import JOB_BYTES, RENDER_BYTES, STEP_CPU_S, WORKER_BYTES, Needs, needs
from workers.planning.plan import Plan, plan
from workers.settings import Settings

_MOST_SHORTS = 200
# What a plan counts with where jobs are never erased, in days.
_A_YEAR = 365
_POSITIVE = click.FloatRange(min=0, min_open=True, max=1e9)
_NOT_NEGATIVE = click.FloatRange(min=0, max=1e9)


class _Rate(click.ParamType[RateLimit]):
    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> RateLimit:
        try:
            return value if isinstance(value, RateLimit) else parse_rate_limit(value)
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


@click.command("plan", short_help="Say whether a load fits an allowance, and what it takes.")
@click.option("--jobs-per-day", type=_POSITIVE, required=True, help="Of all accounts together.")
@click.option("--shorts", type=click.IntRange(0, _MOST_SHORTS), default=3, show_default=True, help="Renders per job.")
@click.option("--plan", "plan_name", type=click.Choice(list(PLANS)), help="By default that of the settings.")
@click.option("--rate-limit", type=_Rate(), help="An allowance of your own, such as 1/2s, in place of a plan's.")
@click.option("--accounts", type=click.IntRange(1, 1_000_000), default=1, show_default=True, help="All alike.")
@click.option("--render-median", type=_POSITIVE, default=75.0, show_default=True, help="Seconds; half take longer.")
@click.option(
    "--render-deviation", type=click.FloatRange(0, 3), default=0.9, show_default=True, help="Of the logarithm."
)
@click.option(
    "--stalls", type=click.FloatRange(0, 1), default=0.2, show_default=True, help="Renders that seem to stop."
)
@click.option("--job-seconds", type=_NOT_NEGATIVE, default=180.0, show_default=True, help="Submission to callback.")
@click.option("--answer-seconds", type=_NOT_NEGATIVE, default=0.1, show_default=True, help="Request to answer.")
@click.option("--video-bytes", type=click.IntRange(1, 1 << 40), default=20_000_000, show_default=True)
@click.option(
    "--link",
    type=click.FloatRange(min=1, max=1e15),
    default=12_500_000.0,
    show_default=True,
    help="Bytes a second for downloads.",
)
@click.option("--kept-days", type=_NOT_NEGATIVE, help="How long jobs are kept; by default RETENTION_DAYS, or a year.")
@click.option("--seed", default="plan", show_default=True, help="The same seed, the same answer.")
@click.option("--json", "as_json", is_flag=True, help="Everything as one JSON document.")
@click.pass_obj
def plan_command(env: Mapping[str, str], /, **asked: Any) -> None:
    """Say what a load asks of the request allowance, whether it fits, how late it is noticed, and what it takes to run.

    The service's own schedule runs on a virtual clock against renders with random times: nothing is sent. One account
    is simulated and stands for all. Crashes, refusals and callbacks that never come are not part of it.
    """
    settings = Settings.from_env(env)
    if asked["kept_days"] is None:
        asked["kept_days"] = settings.retention_days or _A_YEAR
    load = Load(
        limit=asked["rate_limit"] or PLANS.get(asked["plan_name"], settings.rate_limit),
        jobs_per_day=asked["jobs_per_day"] / asked["accounts"],
        shorts=asked["shorts"],
        render_median_s=asked["render_median"],
        render_deviation=asked["render_deviation"],
        job_s=asked["job_seconds"],
        stalls=asked["stalls"],
        answer_s=asked["answer_seconds"],
        reconcile_after_s=settings.reconcile_after,
    )
    found = plan(load, accounts=asked["accounts"], luck=lambda: random.Random(asked["seed"]))  # noqa: S311 - dice
    wants = needs(found, load, video_bytes=asked["video_bytes"], link_per_s=asked["link"], kept_days=asked["kept_days"])
    document = json.dumps(_document(load, found, wants), indent=2)
    click.echo(document if asked["as_json"] else _text(load, found, wants, asked))


def _document(load: Load, found: Plan, wants: Needs) -> dict[str, object]:
    said = {name: getattr(found, name) for name in ("fits", "accounts_needed", "requests_per_job", "requests_per_s")}
    measured = {
        "worker_bytes": WORKER_BYTES,
        "step_cpu_s": STEP_CPU_S,
        "job_bytes": JOB_BYTES,
        "render_bytes": RENDER_BYTES,
    }
    return {
        "load_of_one_account": {**asdict(load), "limit": str(load.limit)},
        "plan_of_one_account": {**asdict(found), **said},
        "needs_of_all": asdict(wants),
        "measured": measured,
    }


def _text(load: Load, found: Plan, wants: Needs, asked: Mapping[str, Any]) -> str:
    day = 24 * found.ceiling_per_h
    rows = {
        "": _verdict(load, found),
        "requests a job": f"{found.requests_per_job:.1f}: " + _by_class(found.requests),
        "looks a render": f"{found.looks:.2f}",
        "ceiling": f"{found.ceiling_per_h:,.0f} jobs an hour, {day:,.0f} a day" + _each(found, day),
        "allowance": f"{found.busy:.0%} spent, of {found.allowed_per_h:,.0f} requests an hour{_each(found)}",
        "done to noticed": _seconds(found.noticed) + f"; renders take {found.render_s:.0f} s in the mean",
        "done to kept": _kept(found, wants),
        "job to last render": _seconds(found.ended),
        "workers": f"{wants.upstream_workers} that ask Swiftia, {wants.files_workers} that download: "
        f"{size_text(wants.worker_bytes)}, {wants.cores:.2f} cores",
        "Redis": f"{size_text(wants.redis_bytes)} for the jobs of {asked['kept_days']:g} days",
        "files": f"{size_text(round(wants.files_per_s))} a second, {size_text(round(wants.files_per_day))} a day; "
        f"{wants.link:.0%} of the link",
        "simulated": f"{found.simulated:,} jobs of one account" + (", which stands for all" if _many(found) else ""),
        "assumed": f"an answer takes {load.answer_s:g} s; nothing fails",
        "measured": f"{size_text(WORKER_BYTES)} a worker, {STEP_CPU_S * 1000:.0f} ms of a processor a step, Redis "
        f"{size_text(JOB_BYTES)} a job and {size_text(RENDER_BYTES)} a render once it is packed (deploy/measured.md)",
    }
    return "\n".join(f"{name:20}{text}".rstrip() if name else text for name, text in rows.items())


def _verdict(load: Load, found: Plan) -> str:
    jobs = f"{found.jobs_per_day * found.accounts:,.0f} jobs a day with {load.shorts} renders each, {load.limit}"
    jobs += f" for each of {found.accounts:,} accounts" if _many(found) else ""
    if not found.fits:
        return f"{jobs}: DOES NOT FIT, what waits grows; {found.accounts_needed:,} such accounts would carry it"
    if found.accounts_needed > found.accounts:
        return f"{jobs}: fits, with little room; {found.accounts_needed:,} such accounts would leave a fifth free"
    return f"{jobs}: fits"


def _many(found: Plan) -> bool:
    return found.accounts > 1


def _each(found: Plan, day: float | None = None) -> str:
    if not _many(found):
        return ""
    return " for each account" + ("" if day is None else f", {day * found.accounts:,.0f} a day for all")


def _by_class(requests: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {count:.1f}" for name, count in requests.items())


def _kept(found: Plan, wants: Needs) -> str:
    if wants.file_s is None:
        return "never: the videos are more than the link carries"
    return _seconds({name: each + wants.file_s for name, each in found.noticed.items()})


def _seconds(spread: Mapping[str, float]) -> str:
    return f"mean {spread['mean']:.1f} s, p50 {spread['p50']:.1f} s, p95 {spread['p95']:.1f} s"
