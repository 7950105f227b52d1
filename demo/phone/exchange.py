"""One request of the phone with its final answer, challenges answered on the way (RFC 3261 §22)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sipmessage import Request, Response

from demo.phone import digest
from demo.phone.account import Account
from demo.phone.client_transaction import ClientTransaction, OnResponse
from demo.phone.endpoint import Endpoint
from demo.phone.message import build_request

USER_AGENT = "Nightbell demo phone"
# UPDATE is missing on purpose: the phone does not do RFC 3311.
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE, INFO"
_ATTEMPTS = 3  # plain, with an answer, and with an answer to a nonce that had gone stale


class Sequence:
    """The CSeq numbers of one dialog or registration; each is used once."""

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def next(self) -> int:
        """The next number."""
        self.last += 1
        return self.last


@dataclass(frozen=True)
class Draft:
    """A request but for what each attempt adds: Via, CSeq and credentials. Addresses are header values."""

    method: str
    uri: str
    sender: str
    recipient: str
    call_id: str
    sequence: Sequence
    contact: str = ""
    routes: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/sdp"

    def render(self, via: str, number: int, credentials: Iterable[tuple[str, str]] = ()) -> Request:
        """The request of one attempt."""
        headers = [
            ("Via", via),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            ("From", self.sender),
            ("To", self.recipient),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {self.method}"),
        ]
        if self.contact:
            headers.append(("Contact", self.contact))
        headers += [*credentials, *self.headers, ("User-Agent", USER_AGENT)]
        if self.method in ("INVITE", "REGISTER", "OPTIONS"):
            headers.append(("Allow", ALLOW))
        if self.body:
            headers.append(("Content-Type", self.content_type))
        return build_request(self.method, self.uri, headers, self.body)


async def exchange(
    endpoint: Endpoint,
    account: Account,
    draft: Draft,
    *,
    on_sent: Callable[[ClientTransaction], None] | None = None,
    on_provisional: OnResponse | None = None,
    on_success: OnResponse | None = None,
) -> Response:
    """Send ``draft`` and return its final response.

    A challenge is answered once, a second one only when it says that the nonce was stale: a wrong password comes
    back as the 401 or 407 that it is.
    """
    credentials: dict[str, str] = {}
    for attempt in range(1, _ATTEMPTS + 1):
        request = draft.render(endpoint.new_via(), draft.sequence.next(), credentials.items())
        transaction = endpoint.request(request, on_provisional=on_provisional, on_success=on_success)
        if on_sent is not None:
            on_sent(transaction)
        response = await transaction.final
        if response.code not in (401, 407) or attempt == _ATTEMPTS:
            break
        challenge = next(iter(digest.challenges(response)), None)
        if challenge is None or (challenge.header in credentials and not challenge.stale):
            break
        credentials[challenge.header] = digest.answer(
            challenge,
            method=draft.method,
            uri=draft.uri,
            username=account.digest_user,
            password=account.password,
        )
    return response
