"""The command `kith`: the list of its commands, and how errors end it.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 a failure, 2 a wrong setting, option or input
file, 130 interrupted, 141 nobody reads the output any more.
"""

import os
import sys
from importlib import import_module
from typing import Any

import click

from schemas.errors import ConfigError, KithError

COMMANDS = {
    "check": "cli.check:check",
    "clock": "cli.clock:clock",
    "deadletter": "cli.deadletter:deadletter",
    "demo": "cli.demo:demo",
    "export": "cli.export:command",
    "identity": "cli.identity:identity",
    "kafka": "cli.kafka:kafka",
    "lag": "cli.lag:lag",
    "lake": "cli.lake:lake",
    "profile": "cli.profile:profile",
    "publish": "cli.publish:command",
    "replay": "cli.replay:command",
    "report": "cli.report:report",
    "rules": "cli.rules:rules",
    "schema": "cli.schema:schema",
    "snapshot": "cli.snapshot:command",
    "topics": "cli.topics:topics",
    "up": "cli.up:up",
    "verify": "cli.verify:command",
    "worker": "cli.worker:worker",
}
"""Name of each command and where it is defined; imported when it is asked for, so that `kith` starts fast."""


class KithGroup(click.Group):
    """A group whose commands are imported when needed, and that turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command, None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; say what went wrong on stderr and exit as the module's docstring lists."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush finds a reader
            ctx.exit(141)
        except KeyboardInterrupt:
            click.echo("kith: interrupted", err=True)
            ctx.exit(130)
        except ConfigError as error:
            click.echo(str(error), err=True)
            ctx.exit(2)
        except KithError as error:
            click.echo(f"kith: {error}", err=True)
            ctx.exit(1)
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            click.echo(f"kith: {where}{error.strerror or error}", err=True)
            ctx.exit(1)
        return result


@click.group(cls=KithGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kith", prog_name="kith", help="Show the version and exit.")
def main() -> None:
    """Find out which events belong to one person, keep that person's profile, and act when the moment comes."""


if __name__ == "__main__":
    main()
