"""``facegate openapi``: the API's description, made from its routes."""

from pathlib import Path

import click

from gateway.domain.errors import InvalidInput


@click.command("openapi")
@click.option("--check", type=click.Path(path_type=Path, dir_okay=False), help="Compare with this file.")
def openapi(check: Path | None) -> None:
    """Print the OpenAPI 3.1 document as YAML, or check that a file holds it."""
    from gateway.api.catalogue import openapi_yaml

    text = openapi_yaml()
    if check is None:
        click.echo(text, nl=False)
        return
    try:
        there = check.read_text("utf-8")
    except OSError as error:
        raise InvalidInput(f"{check}: cannot be read ({error.strerror})") from error
    if there != text:
        raise InvalidInput(
            f"{check}: differs from what is served; `facegate openapi > {check}` writes it anew"
        )
    click.echo(f"{check}: as served")
