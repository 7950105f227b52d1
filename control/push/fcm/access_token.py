"""The OAuth access token for FCM: fetched by google-auth in a thread, renewed ahead of its end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import Any

import requests
import structlog
from google.auth import jwt
from google.auth.exceptions import GoogleAuthError, RefreshError
from google.auth.transport import Response
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from control.push.errors import ConnectFailedError, PushCredentialsError, PushError
from control.push.port import Clock
from control.push.provider_time import ProviderTime

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
AUDIENCE = "https://oauth2.googleapis.com/token"  # whatever the account's token_uri says
LIFETIME = 3600  # seconds; the longest that Google takes
RENEW_AHEAD = 600.0  # seconds before its end; a token that lives shorter than twice that: at its half
REQUEST_TIMEOUT = 5.0  # seconds; google-auth's own is 120
SHORTEST = 1.0  # seconds; one that lives shorter is not asked for more often
FIRST_PAUSE = 1.0  # seconds between failed renewals, doubling …
LAST_PAUSE = 30.0  # … up to this

log = structlog.get_logger("push.fcm")


class TokenRefusedError(PushError):
    """Google refused our service account (deleted, disabled, wrong key): retrying changes nothing."""

    id = "push-token-refused"


class ServiceAccount(Credentials):
    """google-auth's, which signs by the time that ``theirs`` has, not by the system's."""

    theirs: Clock = staticmethod(time.time)

    def _make_authorization_grant_assertion(self) -> bytes:
        now = int(self.theirs())
        claims = {
            "iat": now,
            "exp": now + LIFETIME,
            "iss": self.service_account_email,
            "aud": AUDIENCE,
            "scope": SCOPE,
        }
        signed: bytes = jwt.encode(self.signer, claims)  # type: ignore[no-untyped-call]
        return signed


class _TimedRequest(Request):
    """google-auth's transport with our timeout, as ``Credentials.refresh`` passes none. ``date`` is the last answer's."""

    date: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Response:
        kwargs["timeout"] = REQUEST_TIMEOUT
        response: Response = super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self.date = response.headers.get("Date")
        return response


def read_service_account(path: Path) -> ServiceAccount:
    """The service account of a JSON file from the Google console. Raises PushCredentialsError."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        if not isinstance(raw, dict):
            raise ValueError("not a JSON object")
        account: ServiceAccount = ServiceAccount.from_service_account_info(  # type: ignore[no-untyped-call]
            raw, scopes=[SCOPE]
        )
    except OSError as error:
        raise PushCredentialsError(
            f"push.fcm.accounts: service_account_file {path}: {error.strerror}"
        ) from None
    except (ValueError, KeyError, GoogleAuthError) as error:
        raise PushCredentialsError(
            f"push.fcm.accounts: service_account_file {path} is no service account key ({error}): "
            "make one in the Firebase console, Project settings, Service accounts"
        ) from None
    if not account.project_id:
        raise PushCredentialsError(f"push.fcm.accounts: service_account_file {path} names no project_id")
    return account


class AccessToken:
    """At hand at any time without waiting, once it has been fetched; one fetch at a time, shared by all."""

    def __init__(self, account: ServiceAccount, clock: ProviderTime, ca_file: Path | None = None) -> None:
        self._account = account
        self._account.theirs = clock.theirs
        self._clock = clock
        session = requests.Session()
        if ca_file is not None:
            session.verify = str(ca_file)
            session.trust_env = False  # or REQUESTS_CA_BUNDLE of the environment would win
        self._session = session
        self._request = _TimedRequest(session)
        self._value = ""
        self._ends_at = 0.0
        self._renew_at = 0.0
        self._failure: PushError | None = None
        self._failed_at = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return "AccessToken(***)"

    def start(self) -> asyncio.Task[None]:
        """Fetch now and renew ahead from now on. The task returned is the first fetch."""
        self._keeper = asyncio.get_running_loop().create_task(self._renew_ahead())
        return self._fetch()

    async def close(self) -> None:
        """Stop renewing."""
        tasks = [task for task in (self._keeper, self._fetching) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, PushError):
                await task
        self._session.close()

    async def get(self) -> str:
        """The token; waits only when there is none. Raises ConnectFailedError or TokenRefusedError."""
        if self._clock() >= self._ends_at:
            await asyncio.shield(self._fetch())
        return self._value

    async def replace(self, refused: str) -> str:
        """FCM answered 401 to ``refused``: another token. Raises ConnectFailedError or TokenRefusedError."""
        if refused == self._value:
            await asyncio.shield(self._fetch())
        return self._value

    def _fetch(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())
            # Read the error here: those who wait get it too, but there may be none.
            self._fetching.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._fetching

    async def _refresh(self) -> None:
        if self._failure is not None and 0 <= self._clock() - self._failed_at < FIRST_PAUSE:
            raise self._failure  # every push asks; Google is asked once a second at most
        try:
            await self._exchange()
        except GoogleAuthError as error:
            self._failure, self._failed_at = self._meaning(error), self._clock()
            log.error("fcm.no-token", account=self._account.service_account_email, why=str(error))
            raise self._failure from None
        self._failure = None
        expiry = self._account.expiry
        self._value = self._account.token or ""
        # google-auth has added the lifetime to the system's time, whatever our clock says.
        lifetime = expiry.replace(tzinfo=UTC).timestamp() - time.time() if expiry else 3600.0
        lifetime = max(lifetime, SHORTEST)
        self._ends_at = self._clock() + lifetime
        self._renew_at = self._ends_at - min(RENEW_AHEAD, lifetime / 2)

    async def _exchange(self) -> None:
        """An assertion for a token; once more if meanwhile our clock has turned out to be wrong. Raises GoogleAuthError."""
        signed = self._clock.ahead
        try:
            await self._ask()
        except GoogleAuthError:
            self._clock.heard(self._request.date)
            if not self._clock.differs(signed):
                raise
            await self._ask()
        self._clock.heard(self._request.date)

    async def _ask(self) -> None:
        self._request.date = None
        await in_thread(self._account.refresh, self._request)

    def _meaning(self, error: GoogleAuthError) -> PushError:
        if isinstance(error, RefreshError) and not error.retryable:
            return TokenRefusedError(
                f"Google refuses the service account {self._account.service_account_email}: {error}"
            )
        return ConnectFailedError("oauth-unavailable", str(error))

    async def _renew_ahead(self) -> None:
        pause = FIRST_PAUSE
        while True:
            left = self._renew_at - self._clock()
            if left > 0:
                # In slices, so that a clock that was set forward is noticed.
                await asyncio.sleep(min(left, 30.0))
                continue
            try:
                await asyncio.shield(self._fetch())
                pause = FIRST_PAUSE
            except PushError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, LAST_PAUSE)


async def in_thread(function: Callable[[Request], None], request: Request) -> None:
    """Run blocking code beside the loop. Unlike an executor's, the thread holds up no exit while it hangs."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish(error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def run() -> None:
        outcome: Exception | None = None
        try:
            function(request)
        except Exception as error:  # noqa: BLE001  handed on to who waits
            outcome = error
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(finish, outcome)

    threading.Thread(target=run, name="fcm-token", daemon=True).start()
    await done
