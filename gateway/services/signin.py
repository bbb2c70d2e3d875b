"""Signing in and out. Whatever is wrong, the answer is the same, and takes as long."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NoReturn

from gateway.domain import tokens
from gateway.domain.accounts import Account, Actor, Attempt
from gateway.domain.addresses import neighbourhood
from gateway.domain.errors import InvalidInput, Rejected
from gateway.ports import Clock, SiteSealer
from gateway.ports.accounts import AccountStore, ApiKeyStore, OneTimeCodes, Passwords, SessionStore
from gateway.ports.oidc import Outsider
from gateway.services.accounts import Accounts
from gateway.services.witness import Acted

_PURPOSE = "totp"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """A session that has just begun."""

    account: Account
    token: str
    csrf: str
    lasts: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The use cases behind sessions, and who is behind a token."""

    accounts: AccountStore
    directory: Accounts
    sessions: SessionStore
    keys: ApiKeyStore
    passwords: Passwords
    codes: OneTimeCodes
    sealer: SiteSealer
    acted: Acted
    clock: Clock
    idle: timedelta = timedelta(minutes=30)
    lasts: timedelta = timedelta(hours=12)

    async def sign_in(self, login: str, password: str, code: str | None, address: str) -> SignedIn:
        """Raises Rejected (code "sign_in_refused") whatever is wrong; on record either way."""
        return await self.open(await self._proven(login, password, code, address), address)

    async def change_password(self, actor: Actor, password: str, code: str | None, new: str) -> SignedIn:
        """Give the caller's own account a new password; all its sessions end, and a new one begins.

        Raises Rejected (code "sign_in_refused", "version_differs"), InvalidInput (code "weak_password",
        "not_an_account").
        """
        account = await self._proven((await self._own(actor)).login, password, code, actor.address)
        changed = await self.directory.change(
            actor, account.account_id, password=new, expected_version=account.version
        )
        return await self.open(changed, actor.address)

    async def _proven(self, login: str, password: str, code: str | None, address: str) -> Account:
        place = neighbourhood(address)
        attempt = await self.accounts.begin(login, place)
        right, new_hash = await self.passwords.check(attempt.password_hash if attempt else None, password)
        if attempt is None or not right or attempt.locked:
            await self._refused(attempt, address)
        step = await self._step(attempt, code, address)
        if not await self.accounts.succeed(
            attempt.account.account_id, place, totp_step=step, password_hash=new_hash
        ):
            await self._refused(attempt, address)
        return attempt.account

    async def open(self, account: Account, address: str) -> SignedIn:
        """Begin a session for somebody who has proven who they are. A new token each time.

        Raises Rejected (code "sign_in_refused") when the account was changed since: its password, say.
        """
        token = tokens.new(tokens.SESSION)
        actor = Actor(id=f"account:{account.account_id}", roles=account.roles, address=address)

        async def told() -> None:
            await self.acted(actor, "session.open")

        digest = tokens.digest(token, tokens.SESSION) or b""
        if not await self.sessions.open(digest, account, address, self.clock.now() + self.lasts, told):
            raise Rejected(
                "the account was changed while you signed in; sign in again", code="sign_in_refused"
            )
        return SignedIn(account=account, token=token, csrf=tokens.csrf(token), lasts=self.lasts)

    async def open_outsider(self, outsider: Outsider, address: str) -> SignedIn:
        """Begin a session for whom the identity provider vouches; their roles are what it says today.

        Raises Rejected: code "sign_in_refused" for who has no role here or a disabled account, and
        "login_taken" for a login that a local account has: the provider must not take that over.
        """
        actor = Actor(id="identity-provider", roles=frozenset(), address=address)
        known = await self.accounts.by_subject(outsider.subject)
        if not outsider.roles or (known is not None and known.disabled):
            await self._refused_outsider(known, address)
        if known is None:
            account = await self.directory.create(
                actor,
                login=outsider.login,
                name=outsider.name,
                roles=outsider.roles,
                password=None,
                subject=outsider.subject,
            )
        elif known.roles != outsider.roles:
            account = await self.directory.change(actor, known.account_id, roles=outsider.roles)
        else:
            account = known
        return await self.open(account, address)

    async def _refused_outsider(self, known: Account | None, address: str) -> NoReturn:
        target = f"account:{known.account_id}" if known else ""
        nobody = Actor(id="nobody", roles=frozenset(), address=address)
        await self.acted(nobody, "session.refused", target=target)
        raise Rejected("you have no role here; ask an administrator of this site", code="sign_in_refused")

    async def sign_out(self, token: str, actor: Actor) -> None:
        """End the session. Idempotent."""
        digest = tokens.digest(token, tokens.SESSION)

        async def told() -> None:
            await self.acted(actor, "session.close")

        if digest is not None:
            await self.sessions.close(digest, told)

    async def by_session(self, token: str, address: str) -> Actor | None:
        """Who is signed in with this token."""
        digest = tokens.digest(token, tokens.SESSION)
        account = None if digest is None else await self.sessions.account_of(digest, self.idle)
        if account is None:
            return None
        return Actor(id=f"account:{account.account_id}", roles=account.roles, address=address)

    async def by_key(self, token: str, address: str) -> Actor | None:
        """Which program calls with this token."""
        digest = tokens.digest(token, tokens.KEY)
        key = None if digest is None else await self.keys.by_digest(digest)
        if key is None:
            return None
        return Actor(id=f"key:{key.key_id}", roles=key.roles, scopes=key.scopes, address=address)

    async def new_totp(self, actor: Actor, password: str, code: str | None) -> str:
        """A secret for the caller's own account, as a URI for an authenticator app; not in force yet.

        A session alone, which may be stolen, is not enough. Raises Rejected (code "sign_in_refused").
        """
        account = await self._proven((await self._own(actor)).login, password, code, actor.address)
        secret = self.codes.new_secret()
        await self.accounts.pend_totp(account.account_id, await self.sealer.seal(_PURPOSE, secret))
        return self.codes.uri(secret, account.login)

    async def prove_totp(self, actor: Actor, code: str) -> None:
        """The app works: from now on signing in takes a code. Raises Rejected (code "code_refused")."""
        account = await self._own(actor)
        sealed = await self.accounts.pending_totp(account.account_id)
        if sealed is None:
            raise Rejected("there is no secret to prove; ask for a new one", code="code_refused")
        secret = await self.sealer.open(_PURPOSE, sealed)
        step = self.codes.step(secret, code, self.clock.now().timestamp())
        if step is None:
            raise Rejected(
                "the code is not right; is the clock of the app's device right?", code="code_refused"
            )

        async def told() -> None:
            await self.acted(actor, "account.totp", target=actor.id)

        if not await self.accounts.adopt_totp(account.account_id, sealed, step, told):
            raise Rejected("another secret was asked for meanwhile; prove that one", code="code_refused")

    async def _own(self, actor: Actor) -> Account:
        kind, _, account_id = actor.id.partition(":")
        if kind != "account":
            raise InvalidInput(
                "this is for people who are signed in, not for API keys", code="not_an_account"
            )
        account = await self.accounts.account(account_id)
        if account.external:
            raise InvalidInput(
                "the identity provider looks after password and codes of this account", code="not_an_account"
            )
        return account

    async def _step(self, attempt: Attempt, code: str | None, address: str) -> int | None:
        """The time step of a right and unused code; None where none is asked for."""
        if attempt.totp_sealed is None:
            return None
        secret = await self.sealer.open(_PURPOSE, attempt.totp_sealed)
        step = self.codes.step(secret, code or "", self.clock.now().timestamp())
        if step is None or step <= attempt.totp_last_step:
            await self._refused(attempt, address)
        return step

    async def _refused(self, attempt: Attempt | None, address: str) -> NoReturn:
        """Who tried to be somebody that there is, is named; what they typed never is."""
        target = f"account:{attempt.account.account_id}" if attempt else ""
        await self.acted(
            Actor(id="nobody", roles=frozenset(), address=address), "session.refused", target=target
        )
        raise Rejected(
            "login, password or code is wrong, or there were too many tries; wait a little and try again",
            code="sign_in_refused",
        )
