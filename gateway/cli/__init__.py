"""The command line: no logic, only words in and words out."""

import importlib
import sys
from typing import ClassVar

import click

from gateway import __version__
from gateway.domain.errors import GatewayError
from gateway.telemetry import logging as log_setup


class _Lazy(click.Group):
    """Loads a command's module when it is called for: ``facegate --help`` needs no onnxruntime."""

    homes: ClassVar[dict[str, str]] = {
        "run": "run",
        "check-config": "run",
        "enrol": "enrol",
        "people": "people",
        "models": "models",
        "audit": "audit",
        "keys": "keys",
        "door": "door",
        "simulate": "simulate",
        "demo": "demo",
        "trial": "trial",
        "evaluate": "evaluate",
        "bench": "bench",
        "openapi": "openapi",
        "admin": "admin",
        "privacy": "privacy",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(self.homes)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        home = self.homes.get(cmd_name)
        if home is None:
            return None
        module = importlib.import_module(f"gateway.cli.{home}_command")
        found = getattr(module, cmd_name.replace("-", "_"))
        return found if isinstance(found, click.Command) else None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="facegate")
@click.option("--log", type=click.Choice(["text", "json"]), default="text", help="Form of the log lines.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=None,
    help="Default: info for `run`, warning for the others.",
)
@click.pass_context
def facegate(ctx: click.Context, log: str, log_level: str | None) -> None:
    """People enter their building without a badge, because the door knows them."""
    level = log_level or ("info" if ctx.invoked_subcommand == "run" else "warning")
    log_setup.configure(form="json" if log == "json" else "text", level=level)


def main() -> None:
    """Entry point: an error that Facegate expects is one clear line and exit code 2."""
    try:
        facegate.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.Abort:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GatewayError as error:
        print(f"facegate: {error} [{error.code}]", file=sys.stderr)
        sys.exit(2)
