"""The Web Push provider: one encrypted message to a browser in, one verdict out, by the deadline."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import replace

import aiohttp

from control.domain.push import VOIP, WEBPUSH, Outcome, Purpose, PushNotice, PushToken, Verdict
from control.push import https, retry_after
from control.push.errors import UnansweredError
from control.push.port import Clock
from control.push.webpush import message
from control.push.webpush.outcomes import ADVICE, OUTCOMES, REASONS
from control.push.webpush.public_hosts import Allowed, PrivateAddressError, PublicResolver
from control.push.webpush.settings import WebPushSettings
from control.push.webpush.subscription import Subscription, SubscriptionError, parse
from control.push.webpush.vapid import Vapid, read_key

ATTEMPT = 5.0  # seconds for one attempt; the dispatcher makes another while the deadline allows
CONNECTIONS = 30  # to one host; of all hosts together there is no limit, or one that hangs would take it up
IDLE = 230.0  # seconds that a connection is kept for the next call
SHOWN = 40  # characters of a push's name in the journal
_NAME = re.compile(r"[A-Za-z0-9._~:%=+\-]+")


class WebPushProvider:
    """Pushes to browsers and web apps, each at the service that its subscription names."""

    name = WEBPUSH

    def __init__(self, settings: WebPushSettings, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._allowed = Allowed(settings.allow_private)
        self._vapid: Vapid | None = None
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Read the key. Raises PushCredentialsError."""
        settings = self._settings
        key = await asyncio.to_thread(read_key, settings.key_file)
        tls = https.tls_context(settings.ca_file, "push.webpush.ca_file")
        self._vapid = Vapid(key, settings.contact, self._clock)
        self._session = https.session(self._connector(tls))

    async def close(self) -> None:
        """Close connections; pushes under way end with a ``retry`` verdict."""
        if self._session is not None:
            await self._session.close()

    def lane(self, token: PushToken) -> str:
        """The push service: one that hangs delays its own browsers alone."""
        try:
            return parse(token.token).origin
        except SubscriptionError:
            return ""

    async def push(self, token: PushToken, notice: PushNotice) -> Verdict:
        """Send one message and wait for the answer, at most until the notice's deadline."""
        if token.kind != VOIP and notice.purpose is Purpose.CALL:
            return Verdict(Outcome.REJECTED, reason="kind-unsupported")
        try:
            subscription = parse(token.token)
        except SubscriptionError:
            return Verdict(Outcome.REJECTED, reason="malformed-token")
        if not self._allowed.host(subscription.host):
            return Verdict(Outcome.REJECTED, reason="private-address")
        if self._vapid is None or self._session is None:
            return Verdict(Outcome.RETRY, reason="not-started")
        if token.app and token.app != self._vapid.public_key:
            # A subscription is for one key, for ever: the page has to subscribe anew, with the one of today.
            return Verdict(Outcome.REJECTED, reason="subscribed-with-another-key")
        left = notice.deadline - self._clock()
        if left <= 0:
            return Verdict(Outcome.RETRY, reason="deadline-passed")
        try:
            async with asyncio.timeout(min(left, ATTEMPT)):
                answer = await self._send(self._session, self._vapid, subscription, notice)
        except TimeoutError:
            return Verdict(Outcome.RETRY, reason="timeout")
        except UnansweredError as error:
            if _is_private(error):
                return Verdict(Outcome.REJECTED, reason="private-address")
            return Verdict(Outcome.RETRY, reason=error.reason)
        return replace(verdict(answer, self._clock()), server=subscription.origin)

    async def _send(
        self, session: aiohttp.ClientSession, vapid: Vapid, subscription: Subscription, notice: PushNotice
    ) -> https.HttpAnswer:
        headers = {
            **message.headers(notice, self._clock()),
            "Authorization": vapid.header(subscription.origin),
        }
        body = message.encrypt(message.payload(notice), subscription)
        return await https.post(session, subscription.endpoint, body, headers)

    def _connector(self, tls: ssl.SSLContext) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(
            limit=0,
            limit_per_host=CONNECTIONS,
            keepalive_timeout=IDLE,
            ssl=tls,
            resolver=PublicResolver(self._allowed),
            ttl_dns_cache=300,
        )


def verdict(answer: https.HttpAnswer, now: float) -> Verdict:
    """What an answer of a push service means; ``now`` is UNIX time in seconds."""
    delivered = 200 <= answer.status <= 299
    reason = "" if delivered else _reason(answer)
    outcome = OUTCOMES.outcome(answer.status, reason)
    return Verdict(
        outcome,
        status=answer.status,
        reason=reason,
        provider_id=_name(answer) if delivered else "",
        retry_after=retry_after.seconds(answer.retry_after, now) if outcome is Outcome.RETRY else None,
        advice=ADVICE if outcome is Outcome.MISCONFIGURED else "",
    )


def _reason(answer: https.HttpAnswer) -> str:
    """Apple's word, or Mozilla's number; other vendors have sentences, which are no names.

    Only words that are known: a stranger's server may answer, and reasons are counted and alarmed by.
    """
    said = answer.json()
    reason, errno = said.get("reason"), said.get("errno")
    if isinstance(reason, str) and reason in REASONS:
        return reason
    return f"errno {errno}" if type(errno) is int and 100 <= errno <= 999 else ""


def _name(answer: https.HttpAnswer) -> str:
    """The end of the message's URL (RFC 8030 §5): enough to find it, too little to use it."""
    name = answer.headers.get("Location", "").rstrip("/").rpartition("/")[2]
    return name[:SHOWN] if _NAME.fullmatch(name) else ""


def _is_private(error: UnansweredError) -> bool:
    cause = error.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError) and isinstance(cause.os_error, PrivateAddressError)
