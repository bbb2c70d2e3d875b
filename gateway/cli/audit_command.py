"""``facegate audit verify``."""

from pathlib import Path

import click

from gateway.cli import common


@click.group("audit")
def audit() -> None:
    """The record of who went where."""


@audit.command("verify")
@common.config_option
@click.option("--offline", is_flag=True, help="Check the journal alone, without the database.")
def verify(config: Path | None, offline: bool) -> None:  # noqa: FBT001  # click's way
    """Check that nothing in the journal and the ledger was altered; exit code 1 if it was.

    Run it while the gateway is stopped: the journal has one owner at a time.
    """
    from gateway.rehearsal.ledger import Checked, check

    site = common.site(config)

    async def work() -> Checked:
        return await check(site, with_database=not offline)

    found = common.run(work())
    for name, verdict in found.verdicts.items():
        if verdict.fault is None:
            click.echo(f"{name}: {verdict.events} events, whole; head {verdict.head.hex()[:16]}")
        else:
            click.echo(f"{name}: BROKEN at event {verdict.fault.seq}: {verdict.fault.reason}")
    if found.difference is not None:
        click.echo(f"journal and ledger DIFFER at event {found.difference.seq}: {found.difference.reason}")
    if not found.whole:
        raise SystemExit(1)
