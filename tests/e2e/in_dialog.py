"""Requests and answers of a phone with headers that a well-behaved one would not send."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from demo.phone import Call, IncomingCall, Phone, Recorded
from demo.phone.message import build_response, split_list, uri_of

Headers = Sequence[tuple[str, str]]


async def send_in_dialog(
    phone: Phone,
    call: Call,
    method: str,
    headers: Headers = (),
    routes: Sequence[str] | None = None,
    body: bytes = b"",
) -> Recorded:
    """Send a request within ``call``'s dialog, by ``routes`` if given; the final answer to it."""
    dialog = call.dialog
    assert dialog is not None, "the call has no dialog yet"
    number = dialog.sequence.next()
    contact = f"<{call_contact(phone)}>" if method == "UPDATE" else ""
    request = dialog.draft(method, contact, tuple(headers), body).render(_fresh_via(phone), number)
    if routes is not None:
        request.headers.setlist("Route", list(routes))
    return await send(phone, bytes(request))


async def send(phone: Phone, request: bytes) -> Recorded:
    """Send bytes that are a request; the final answer to it, known by its Via branch."""
    branch = request.partition(b"branch=")[2][:23].decode()
    await phone.send_raw(request)
    return await phone.wait_for(
        lambda m: m.direction == "in" and m.status >= 200 and branch in m.message.headers["Via"]
    )


async def ring_with(phone: Phone, call: IncomingCall, headers: Headers) -> None:
    """Answer 180 to a call that rings, with these headers."""
    assert call.dialog is not None
    tag = call.dialog.local.rpartition("tag=")[2]
    await phone.send_raw(bytes(build_response(call.request, 180, tag=tag, headers=headers)))


def call_contact(phone: Phone) -> str:
    """The Contact URI this phone has sent last, without push parameters."""
    sent = next(
        m for m in reversed(phone.messages) if m.direction == "out" and m.message.headers.get("Contact")
    )
    return uri_of(sent.message.headers["Contact"]).partition(";pn-")[0]


def _fresh_via(phone: Phone) -> str:
    sent = next(m for m in reversed(phone.messages) if m.direction == "out" and not m.status)
    via = split_list(sent.message.headers.getlist("Via"))[0]
    return f"{via.partition(';branch=')[0]};branch=z9hG4bK{secrets.token_hex(8)};rport"
