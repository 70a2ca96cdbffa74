"""The command line. Each command lives in a module of its own kind, which is imported when the command is used."""

import gc
import importlib
import os
import sys
from typing import Any, Final

import click

from receiver.exits import EXPLAINED, INTERRUPTED, exit_code
from workers.errors import ServiceError
from workers.release import version

# By name, in the order of --help. Worker processes start often and should not load what other commands need.
COMMANDS: Final = {
    "up": "receiver.service_commands:up",
    "demo": "receiver.trial_commands:demo",
    "submit": "receiver.job_commands:submit",
    "top": "receiver.top_command:top",
    "jobs": "receiver.list_command:jobs",
    "show": "receiver.job_commands:show",
    "export": "receiver.export_command:export",
    "retry": "receiver.job_commands:retry",
    "erase": "receiver.job_commands:erase",
    "backup": "receiver.backup_command:backup",
    "restore": "receiver.backup_command:restore",
    "replay": "receiver.replay_command:replay",
    "explain-signature": "receiver.explain_command:explain_signature",
    "callback-url": "receiver.job_commands:callback_url",
    "check": "receiver.check_command:check",
    "bench": "receiver.trial_commands:bench",
    "plan": "receiver.plan_command:plan_command",
    "web": "receiver.service_commands:web",
    "worker": "receiver.service_commands:worker",
    "clock": "receiver.service_commands:clock",
    "sandbox": "receiver.service_commands:sandbox",
}


class Commands(click.Group):
    """Turns our own errors into their message and an exit code; a traceback means a fault of ours."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - see above
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        return command if isinstance(command, click.Command) else None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ServiceError as error:
            click.echo(f"{ctx.command_path}: {error.message}", err=True)
            ctx.exit(exit_code(error))
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, epilog=EXPLAINED, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version() or "run from a checkout", prog_name="swiftia-receiver")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Receive the callbacks of Swiftia jobs, render their shorts and bring the videos home.

    Everything is set by environment variables; deploy/example.env lists them. `swiftia-receiver up` runs the whole
    service on this machine, and without a SWIFTIA_API_KEY it brings a sandbox to try it with.
    """
    ctx.obj = dict(os.environ) if ctx.obj is None else ctx.obj


# New objects until the next look for cycles among them. Loading makes many and no garbage: at 700, the default up to
# Python 3.11, the looks take a tenth of the time that a process of ours needs to start.
UNTIL_LOOK: Final = 10_000


def main() -> None:
    gc.set_threshold(UNTIL_LOOK)
    # There are none for us, and pydantic would open every installed package to find them, in each process.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        cli(prog_name="swiftia-receiver" if sys.argv[0].endswith("__main__.py") else None)
    finally:
        # All of it goes with the process. To look through it for garbage once more takes a fifth of a second.
        gc.freeze()
