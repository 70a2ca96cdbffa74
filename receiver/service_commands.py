"""The commands that run the service, or one process of it."""

# ruff: noqa: PLC0415 - each process imports what it runs and no more: a worker has no use for Flask

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click
import structlog

from workers import logs, notify
from workers.notify import Notifier
from workers.settings import Settings
from workers.work import DELIVERIES, LANES

if TYPE_CHECKING:
    from workers.processes import Child

_log = structlog.get_logger("receiver")
Env = Mapping[str, str]


def _say(words: str) -> None:
    click.echo(words)
    sys.stdout.flush()


def _settings(env: Env) -> Settings:
    """Raise ``Conflict`` where nothing should be started, as a restore was cut off."""
    from receiver.halfrestored import refuse_half_restored

    settings = Settings.from_env(env)
    logs.configure(settings)
    refuse_half_restored(settings)
    return settings


def _notifier(env: Env) -> Notifier:
    return Notifier(env.get(notify.VARIABLE))


@click.command(short_help="Run everything on this machine.")
@click.option("--no-sandbox", is_flag=True, help="Refuse to start without SWIFTIA_API_KEY.")
@click.pass_obj
def up(env: Env, *, no_sandbox: bool) -> None:
    """Run everything on this machine: Valkey (unless REDIS_URL is set), web, clock and workers.

    Without SWIFTIA_API_KEY it also runs the sandbox, a stand-in for Swiftia, on SANDBOX_PORT (PORT + 10 by default),
    and trusts downloads from 127.0.0.0/8. SIGTERM or Ctrl-C stops everything in order: the workers end their steps
    within GRACE_SECONDS, then the door closes, then Valkey. WORKERS processes are split over the two lanes, one for
    what talks to Swiftia and one for downloads.
    """
    from receiver import launch, machine

    plan = launch.plan(env, sandbox_allowed=not no_sandbox)
    logs.configure(plan.settings)
    machine.run(plan, env, say=_say)


@click.command(short_help="Run the web processes only.")
@click.pass_obj
def web(env: Env) -> None:
    """Run the web processes: the door for callbacks, the API and the console."""
    from receiver import server

    settings = _settings(env)
    server.run(settings, _notifier(env))


@click.command(short_help="Run worker processes only.")
@click.option("--lane", type=click.Choice([*LANES, DELIVERIES]), help="Work on this lane only.")
@click.option("--count", type=click.IntRange(1, 256), help="Processes; by default 1 with --lane, else WORKERS.")
@click.pass_obj
def worker(env: Env, *, lane: str | None, count: int | None) -> None:
    """Run worker processes: of one lane, or WORKERS of them split over all lanes.

    One that ends or falls silent is started again. With --lane and no --count it is this process, which nobody watches.
    """
    settings = _settings(env)
    if lane is None or count is not None:
        _supervise_workers(env, settings, lane, count)
        return
    if lane == DELIVERIES:
        from workers.courier import run_courier

        run_courier(settings, _notifier(env))
        return
    from workers.worker import run_worker

    run_worker(settings, lane, _notifier(env))


def _supervise_workers(env: Env, settings: Settings, lane: str | None, count: int | None) -> None:
    from receiver import launch
    from workers.roster import read_all

    accounts = len(read_all(settings).by_name)
    counts = {lane: count or 1} if lane else launch.worker_counts(count or settings.workers, accounts)
    _supervise(launch.workers(launch.Plan(settings, env, None), counts), _notifier(env))


def _supervise(children: "Iterable[Child]", notifier: Notifier) -> None:
    from workers.processes import ProcessService
    from workers.supervisor import Service, Supervisor

    rank: Sequence[Service] = [ProcessService(child) for child in children]
    notifier.ready()
    Supervisor([rank], notifier=notifier).run()


@click.command(short_help="Run a clock only.")
@click.option("--watched", is_flag=True, help="Start it again when it ends or falls silent; for containers.")
@click.pass_obj
def clock(env: Env, *, watched: bool) -> None:
    """Run the clock, which starts every step when it is due. Any number of them may run."""
    settings = _settings(env)
    if watched:
        from receiver import launch

        _supervise([launch.clock(launch.Plan(settings, env, None))], _notifier(env))
        return
    from workers.clock import run_clock

    run_clock(settings, _notifier(env))


@click.command(short_help="Run the stand-in for Swiftia only.")
@click.pass_obj
def sandbox(env: Env) -> None:
    """Run the sandbox, a stand-in for Swiftia, set by the SANDBOX_* variables."""
    from workers.sandbox import SandboxConfig, serve

    config = SandboxConfig.from_env(env)
    logs.configure(Settings.from_env(env))
    serve(config)
