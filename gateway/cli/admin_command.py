"""``facegate admin``: accounts, from the machine itself."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from gateway.cli import common
from gateway.domain.accounts import Account, Actor, Role
from gateway.domain.errors import InvalidInput
from gateway.services.accounts import Accounts

T = TypeVar("T")

_password_option = click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the password on its first line. Default: you are asked.",
)


@click.group("admin")
def admin() -> None:
    """Accounts, from the machine itself: the first administrator, and a lost password."""


@admin.command("create")
@click.argument("login")
@common.config_option
@click.option("--name", default=None, help="Default: the login.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice([r.value for r in Role]),
    default=("administrator",),
    show_default=True,
)
@_password_option
def create(
    login: str, config: Path | None, name: str | None, roles: tuple[str, ...], password_file: Path | None
) -> None:
    """Make an account LOGIN that signs in with a password."""
    password = _password(password_file)

    async def work(accounts: Accounts, actor: Actor) -> Account:
        return await accounts.create(
            actor, login=login, name=name or login, roles=frozenset(Role(r) for r in roles), password=password
        )

    made = _run(config, work)
    click.echo(f"{made.login}: made, {', '.join(sorted(made.roles))}; id {made.account_id}")


@admin.command("reset-password")
@click.argument("login")
@common.config_option
@click.option("--forget-totp", is_flag=True, help="Also take a lost authenticator away.")
@_password_option
def reset_password(login: str, config: Path | None, forget_totp: bool, password_file: Path | None) -> None:  # noqa: FBT001
    """Give LOGIN a new password and end all its sessions."""
    password = _password(password_file)

    async def work(accounts: Accounts, actor: Actor) -> Account:
        for one in await accounts.all():
            if one.login.casefold() == login.casefold():
                return await accounts.change(
                    actor, one.account_id, password=password, forget_totp=forget_totp
                )
        raise InvalidInput(
            f"there is no account {login!r}; `facegate admin list` shows them", code="no_such_account"
        )

    _run(config, work)
    click.echo(f"{login}: new password; all sessions ended")


@admin.command("list")
@common.config_option
def list_accounts(config: Path | None) -> None:
    """Show all accounts."""

    async def work(accounts: Accounts, _actor: Actor) -> Sequence[Account]:
        return await accounts.all()

    for one in _run(config, work):
        state = "disabled" if one.disabled else "one-time code" if one.totp else "password alone"
        click.echo(f"{one.login}\t{', '.join(sorted(one.roles))}\t{state}")


def _run(config: Path | None, work: Callable[[Accounts, Actor], Awaitable[T]]) -> T:
    from gateway.commands import commanding
    from gateway.security.passwords import ArgonPasswords
    from gateway.telemetry.clock import SystemClock

    site = common.site(config)

    async def whole() -> T:
        async with commanding(site) as ground:
            accounts = Accounts(
                store=ground.stores.accounts,
                passwords=ArgonPasswords(),
                acted=ground.record.acted,
                clock=SystemClock(),
            )
            return await work(accounts, ground.actor)

    return common.run(whole())


def _password(file: Path | None) -> str:
    """Never an argument: those are seen by everybody on the machine."""
    if file is None:
        asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return asked
    try:
        return file.read_text("utf-8").splitlines()[0]
    except (OSError, UnicodeDecodeError, IndexError) as error:
        raise InvalidInput(f"{file}: holds no password that can be read ({type(error).__name__})") from error
