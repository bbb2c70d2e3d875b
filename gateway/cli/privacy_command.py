"""``facegate privacy``: the processing record, and the check of a receipt."""

from pathlib import Path

import click

from gateway.cli import common
from gateway.domain.errors import InvalidInput


@click.group("privacy")
def privacy() -> None:
    """What people and authorities may ask about the data that is held."""


@privacy.command("report")
@common.config_option
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
def report(config: Path | None, as_json: bool) -> None:  # noqa: FBT001  # click's way
    """Write the site's record of processing activities (GDPR art. 30) as it is now."""
    import msgspec

    from gateway.domain.processing import ProcessingRecord
    from gateway.privacy_desk import reporting_alone
    from gateway.services.privacy.processing_record import as_text

    site = common.site(config)

    async def work() -> ProcessingRecord:
        async with reporting_alone(site) as reporting:
            return await reporting.record()

    record = common.run(work())
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(record), indent=2).decode())
    else:
        click.echo(as_text(record), nl=False)


@privacy.command("verify-receipt")
@click.argument("receipt", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--key",
    "key",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The site's public key: PEM, or the base64 that /api/v1/privacy/receipt-key gives.",
)
def verify_receipt(receipt: Path, key: Path) -> None:
    """Check the receipt of an erasure, without the site; exit code 1 if it does not hold."""
    from gateway.domain.receipts import taken_apart
    from gateway.security.receipts import holds, key_id, read_public

    public = read_public(_content(key))
    try:
        statement, signature, values = taken_apart(_content(receipt))
    except InvalidInput as error:
        click.echo(f"{receipt}: DOES NOT HOLD: {error}")
        raise SystemExit(1) from None
    if not holds(public, statement, signature):
        own = values.get("key") == key_id(public)
        why = "it was altered" if own else "it is signed with another key, or was altered"
        click.echo(f"{receipt}: DOES NOT HOLD: {why}")
        raise SystemExit(1)
    gone = ", ".join(f"{what} {count}" for what, count in values["destroyed"].items() if count)
    click.echo(f"{receipt}: holds; signed with key {key_id(public)}")
    click.echo(f"person {values['person']} erased at {values['erased_at']} by {values['by']}")
    click.echo(f"destroyed: {gone}; gateway {values['gateway']}, event {values['event']}")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from error
