"""``facegate enrol``."""

import getpass
import json
from pathlib import Path

import click

from gateway.cli import common


@click.command("enrol")
@click.argument("number")
@click.argument("name")
@click.argument("photos", nargs=-1, required=True, type=click.Path(path_type=Path))
@common.config_option
@click.option("--profile", default="staff", show_default=True, help="Access profile the person gets.")
@click.option(
    "--consent",
    default=None,
    help="What was consented to, when and how. Default: you attest that written consent is on file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def enrol(
    number: str,
    name: str,
    photos: tuple[Path, ...],
    config: Path | None,
    profile: str,
    consent: str | None,
    as_json: bool,  # noqa: FBT001  # click's way
) -> None:
    """Enrol NAME under staff NUMBER from one or more PHOTOS of that person alone.

    Enrolling again under the same number replaces the templates. Running this command attests that the
    person has consented to face recognition; the attestation is stored with your account's name.
    """
    from gateway.commands import operator
    from gateway.enrolment_desk import enrolling
    from gateway.services.enrolment import Enrolled, photo_files

    site = common.site(config)
    attested = consent or f"attested by {getpass.getuser()}: written consent on file"

    async def work() -> Enrolled:
        async with enrolling(site) as enrolment:
            return await enrolment.enrol(
                number=number,
                name=name,
                photos=photo_files(photos),
                consent=attested,
                profile=profile,
                actor=operator(),
            )

    done = common.run(work())
    if as_json:
        click.echo(
            json.dumps(
                {
                    "number": done.number,
                    "templates": done.templates,
                    "quality": round(done.quality, 3),
                    "replaced": done.replaced,
                }
            )
        )
        return
    verb = "enrolled again" if done.replaced else "enrolled"
    click.echo(
        f"{number} {verb}: {done.templates} template(s), quality {done.quality:.2f}; consent: {attested}"
    )
