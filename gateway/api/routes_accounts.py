"""``/api/v1/accounts`` and ``/api/v1/api-keys``: who may call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from gateway.api.routing import Answer, Call, Route
from gateway.domain.accounts import LOGIN, Account, ApiKey, Role, Scope
from gateway.domain.staff import TEXT
from gateway.services.accounts import LONGEST, SHORTEST, Accounts, ApiKeys

ADMINISTRATORS = frozenset({Role.ADMINISTRATOR})
Login = Annotated[str, Meta(pattern=LOGIN)]
Label = Annotated[str, Meta(pattern=TEXT, min_length=1, max_length=200)]
Roles = Annotated[list[Role], Meta(min_length=1, max_length=5)]
Password = Annotated[str, Meta(min_length=SHORTEST, max_length=LONGEST)]


class AccountIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account; without a password it can only sign in at the identity provider."""

    login: Login
    name: Label
    roles: Roles
    password: Password | None = None


class AccountPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change; ``totp`` false takes a lost authenticator away."""

    name: Label | UnsetType = UNSET
    roles: Roles | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    totp: Annotated[bool, Meta(extra_json_schema={"const": False})] | UnsetType = UNSET


class AccountOut(msgspec.Struct, frozen=True, kw_only=True):
    """One account."""

    id: str
    login: str
    name: str
    roles: Sequence[Role]
    totp: bool
    external: bool
    disabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


class AccountsOut(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts."""

    items: Sequence[AccountOut]


class KeyIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new API key. Without scopes it may all that its roles may."""

    name: Label
    roles: Roles
    scopes: Annotated[list[Scope], Meta(max_length=50)] = []
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None


class KeyOut(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without the key."""

    id: str
    name: str
    roles: Sequence[Role]
    scopes: Sequence[str]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    revoked: bool


class NewKeyOut(KeyOut, frozen=True, kw_only=True):
    """A new API key; ``token`` is shown this once."""

    token: str


class KeysOut(msgspec.Struct, frozen=True, kw_only=True):
    """All API keys."""

    items: Sequence[KeyOut]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRoutes:
    """Accounts of people, keys of programs; administrators only."""

    accounts: Accounts
    keys: ApiKeys

    def table(self) -> tuple[Route, ...]:
        """The routes."""
        read: dict[str, Any] = {"tag": "accounts", "roles": ADMINISTRATORS, "scope": "accounts:read"}
        write: dict[str, Any] = {"tag": "accounts", "roles": ADMINISTRATORS, "scope": "accounts:write"}
        accounts, keys = "/api/v1/accounts", "/api/v1/api-keys"
        return (
            Route(
                method="GET",
                path=accounts,
                handler=self.list_accounts,
                summary="All accounts",
                answer=AccountsOut,
                **read,
            ),
            Route(
                method="POST",
                path=accounts,
                handler=self.create_account,
                summary="Add an account",
                body=AccountIn,
                answer=AccountOut,
                status=201,
                creates=True,
                errors=("login_taken", "bad_login", "weak_password", "bad_roles", "csrf"),
                **write,
            ),
            Route(
                method="GET",
                path=accounts + "/{account_id}",
                handler=self.read_account,
                summary="One account",
                description="The ETag is what If-Match of a change needs.",
                answer=AccountOut,
                errors=("no_such_account",),
                **read,
            ),
            Route(
                method="PATCH",
                path=accounts + "/{account_id}",
                handler=self.change_account,
                summary="Change, disable, or give a new password",
                body=AccountPatch,
                answer=AccountOut,
                conditional=True,
                errors=("no_such_account", "last_administrator", "weak_password", "bad_roles", "csrf"),
                **write,
            ),
            Route(
                method="GET",
                path=keys,
                handler=self.list_keys,
                summary="All API keys",
                answer=KeysOut,
                **read,
            ),
            Route(
                method="POST",
                path=keys,
                handler=self.create_key,
                summary="Make an API key; its token is shown this once",
                body=KeyIn,
                answer=NewKeyOut,
                status=201,
                creates=True,
                errors=("beyond_own_rights", "csrf"),
                **write,
            ),
            Route(
                method="DELETE",
                path=keys + "/{key_id}",
                handler=self.revoke_key,
                summary="Revoke an API key",
                errors=("no_such_key", "csrf"),
                **write,
            ),
        )

    async def list_accounts(self, _call: Call) -> AccountsOut:
        """All."""
        return AccountsOut(items=[_account(a) for a in await self.accounts.all()])

    async def read_account(self, call: Call) -> Answer:
        """One."""
        return _answer(await self.accounts.get(call.path["account_id"]))

    async def create_account(self, call: Call) -> Answer:
        """Add one."""
        given: AccountIn = call.body
        made = await self.accounts.create(
            call.actor,
            login=given.login,
            name=given.name,
            roles=frozenset(given.roles),
            password=given.password,
        )
        location = {"Location": f"/api/v1/accounts/{made.account_id}"}
        return Answer(body=_account(made), version=made.version, headers=location)

    async def change_account(self, call: Call) -> Answer:
        """Set what is named."""
        given: AccountPatch = call.body
        changed = await self.accounts.change(
            call.actor,
            call.path["account_id"],
            expected_version=call.if_match,
            name=None if given.name is UNSET else given.name,
            roles=None if given.roles is UNSET else frozenset(given.roles),
            disabled=None if given.disabled is UNSET else given.disabled,
            password=None if given.password is UNSET else given.password,
            forget_totp=given.totp is False,
        )
        return _answer(changed)

    async def list_keys(self, _call: Call) -> KeysOut:
        """All."""
        return KeysOut(items=[KeyOut(**_key(k)) for k in await self.keys.all()])

    async def create_key(self, call: Call) -> Answer:
        """Make one."""
        given: KeyIn = call.body
        key, token = await self.keys.create(
            call.actor,
            name=given.name,
            roles=frozenset(given.roles),
            scopes=frozenset(given.scopes),
            expires_at=given.expires_at,
        )
        return Answer(body=NewKeyOut(token=token, **_key(key)))

    async def revoke_key(self, call: Call) -> Answer:
        """End one."""
        await self.keys.revoke(call.actor, call.path["key_id"])
        return Answer()


def _answer(account: Account) -> Answer:
    return Answer(body=_account(account), version=account.version)


def _account(account: Account) -> AccountOut:
    return AccountOut(
        id=account.account_id,
        login=account.login,
        name=account.name,
        roles=sorted(account.roles),
        totp=account.totp,
        external=account.external,
        disabled=account.disabled,
        created_at=account.created_at,
        updated_at=account.updated_at,
        version=account.version,
    )


def _key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "name": key.name,
        "roles": sorted(key.roles),
        "scopes": sorted(key.scopes),
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "used_at": key.used_at,
        "revoked": key.revoked,
    }
