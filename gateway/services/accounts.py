"""Accounts and API keys: who may call, decided by administrators and on record."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from gateway.domain import tokens
from gateway.domain.accounts import LOGIN, Account, Actor, ApiKey, Role, Scope
from gateway.domain.errors import InvalidInput, Rejected
from gateway.domain.events import Json
from gateway.domain.staff import TEXT
from gateway.ports import Clock
from gateway.ports.accounts import AccountStore, AccountTold, ApiKeyStore, Passwords
from gateway.services.witness import Acted

SHORTEST = 12
LONGEST = 200
_TRIED_FIRST = frozenset(
    {"password", "passwort", "facegate", "administrator", "letmein", "welcome", "qwertyuiop", "123456789012"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """People who sign in."""

    store: AccountStore
    passwords: Passwords
    acted: Acted
    clock: Clock

    async def all(self) -> Sequence[Account]:
        """By login."""
        return await self.store.accounts()

    async def get(self, account_id: str) -> Account:
        """Raises InvalidInput (code "no_such_account")."""
        return await self.store.account(account_id)

    async def create(
        self,
        actor: Actor,
        *,
        login: str,
        name: str,
        roles: frozenset[Role],
        password: str | None,
        subject: str | None = None,
    ) -> Account:
        """Add one; ``subject`` is of somebody for whom an identity provider vouches.

        Raises InvalidInput (code "bad_login", "weak_password", "bad_roles"), Rejected (code "login_taken").
        """
        _check_names(login, name, external=subject is not None)
        if not roles:
            raise InvalidInput("roles: name at least one", code="bad_roles")
        now = self.clock.now()
        account = Account(
            account_id=str(uuid4()),
            login=login,
            name=name,
            roles=roles,
            totp=False,
            external=subject is not None,
            disabled=False,
            created_at=now,
            updated_at=now,
            version=1,
        )
        hashed = None if password is None else await self._hash(password, login)
        await self.store.create(account, hashed, subject, self._told(actor, "account.create"))
        return await self.store.account(account.account_id)

    async def change(
        self,
        actor: Actor,
        account_id: str,
        *,
        expected_version: int | None = None,
        name: str | None = None,
        roles: frozenset[Role] | None = None,
        disabled: bool | None = None,
        password: str | None = None,
        forget_totp: bool = False,
    ) -> Account:
        """Set what is given. Raises as ``AccountStore.change``; InvalidInput (code "weak_password")."""
        if roles is not None and not roles:
            raise InvalidInput("roles: name at least one; disable the account to end it", code="bad_roles")
        before = await self.store.account(account_id)
        return await self.store.change(
            account_id,
            expected_version=expected_version,
            told=self._told(actor, "account.password" if password else "account.change"),
            name=name,
            roles=roles,
            disabled=disabled,
            password_hash=None if password is None else await self._hash(password, before.login),
            forget_totp=forget_totp,
        )

    async def _hash(self, password: str, login: str) -> str:
        check_password(password, login)
        return await self.passwords.hash(password)

    def _told(self, actor: Actor, action: str) -> AccountTold:
        async def told(before: Account | None, after: Account | None) -> None:
            one = after or before
            target = f"account:{one.account_id}" if one else ""
            await self.acted(actor, action, target=target, before=_facts(before), after=_facts(after))

        return told


def _check_names(login: str, name: str, *, external: bool) -> None:
    """Raises InvalidInput (code "bad_login")."""
    if not re.fullmatch(TEXT if external else LOGIN, login) or not 0 < len(login) <= LONGEST:
        raise InvalidInput(
            "login: 1 to 200 letters, digits, or . _ @ + -, beginning with a letter or digit",
            code="bad_login",
        )
    if not re.fullmatch(TEXT, name) or not 0 < len(name) <= LONGEST:
        raise InvalidInput(
            "name: 1 to 200 characters without line breaks or other controls", code="bad_login"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeys:
    """Programs that call."""

    store: ApiKeyStore
    acted: Acted
    clock: Clock

    async def all(self) -> Sequence[ApiKey]:
        """Newest first."""
        return await self.store.keys()

    async def create(
        self,
        actor: Actor,
        *,
        name: str,
        roles: frozenset[Role],
        scopes: frozenset[str],
        expires_at: datetime | None,
    ) -> tuple[ApiKey, str]:
        """A new key, and the token that is shown this once.

        Raises InvalidInput (code "bad_scope", "bad_roles"), Rejected (code "beyond_own_rights").
        """
        unknown = scopes - frozenset(Scope)
        if unknown:
            known = ", ".join(sorted(Scope))
            raise InvalidInput(f"scopes: {', '.join(sorted(unknown))} is none of {known}", code="bad_scope")
        if not roles:
            raise InvalidInput("roles: name at least one", code="bad_roles")
        if not roles <= actor.roles and Role.ADMINISTRATOR not in actor.roles:
            raise Rejected("a key may have no role that its maker lacks", code="beyond_own_rights")
        if actor.scopes and not (scopes and scopes <= actor.scopes):
            raise Rejected(
                "a key made with a key may have no scope that one lacks; name its scopes",
                code="beyond_own_rights",
            )
        token = tokens.new(tokens.KEY)
        digest = tokens.digest(token, tokens.KEY)
        key = ApiKey(
            key_id=str(uuid4()),
            name=name,
            roles=roles,
            scopes=scopes,
            created_by=actor.id,
            created_at=self.clock.now(),
            expires_at=expires_at,
            used_at=None,
            revoked=False,
        )

        async def told() -> None:
            after: dict[str, Json] = {"roles": [*sorted(roles)], "scopes": [*sorted(scopes)]}
            await self.acted(actor, "key.create", target=f"key:{key.key_id}", after=after)

        await self.store.create(key, digest or b"", told)
        return key, token

    async def revoke(self, actor: Actor, key_id: str) -> None:
        """From now on nobody calls with it. Raises InvalidInput (code "no_such_key")."""

        async def told() -> None:
            await self.acted(actor, "key.revoke", target=f"key:{key_id[:64]}")

        await self.store.revoke(key_id, told)


def check_password(password: str, login: str) -> None:
    """Long, and not what is tried first (NIST SP 800-63B §5.1.1.2). Raises InvalidInput ("weak_password")."""
    plain = password.casefold()
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(f"password: {SHORTEST} to {LONGEST} characters", code="weak_password")
    guessed = login.casefold() in plain or any(w in plain and len(plain) < len(w) + 6 for w in _TRIED_FIRST)
    if guessed or len(set(plain)) < 5:
        raise InvalidInput(
            "password: holds the login, a word that is tried first, or hardly any different characters",
            code="weak_password",
        )


def _facts(account: Account | None) -> dict[str, Json] | None:
    if account is None:
        return None
    return {
        "roles": [*sorted(account.roles)],
        "disabled": account.disabled,
        "totp": account.totp,
        "external": account.external,
    }
