"""Registering a phone (RFC 3261 §10), with its push token in the Contact URI (RFC 8599)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote
from uuid import UUID, uuid4

from sipmessage import Response

from demo.phone.account import Account
from demo.phone.endpoint import Endpoint
from demo.phone.exchange import Draft, Sequence, exchange
from demo.phone.message import new_token

_PARAM_SAFE = "[]/:&+$-_.!~*'()"  # RFC 3261 §25.1, paramchar: these travel unescaped


@dataclass(frozen=True)
class PushParams:
    """The RFC 8599 parameters: push service, what it is asked for, and the device's token there."""

    provider: str
    param: str
    prid: str = field(repr=False)

    def __str__(self) -> str:
        named = {"pn-provider": self.provider, "pn-param": self.param, "pn-prid": self.prid}
        return "".join(f";{name}={quote(value, safe=_PARAM_SAFE)}" for name, value in named.items() if value)


class Registration:
    """One device's binding: the same Call-ID, CSeq sequence and instance for the phone's whole life (§10.2.4)."""

    def __init__(self, account: Account, push: PushParams | None, instance: UUID | None = None) -> None:
        self.instance = instance or uuid4()
        self.push = push
        self.purr = ""  # what the registrar gave last, for the Contact of dialogs (RFC 8599 §6.1.1)
        self._account = account
        self._call_id = new_token(12)
        self._sequence = Sequence()

    async def send(self, endpoint: Endpoint, contact_uri: str, expires: int) -> Response:
        """Ask for a binding of ``expires`` seconds, 0 to remove it; a 423 is obeyed once (§10.2.8)."""
        response = await self._ask(endpoint, contact_uri, expires)
        if response.code == 423:
            wanted = response.headers.get("Min-Expires", "")
            if wanted and wanted.isdigit():
                response = await self._ask(endpoint, contact_uri, int(wanted))
        if 200 <= response.code < 300:
            found = re.search(r'\+sip\.pnspurr="([^"]*)"', ",".join(response.headers.getlist("Feature-Caps")))
            self.purr = found[1] if found else ""
        return response

    async def _ask(self, endpoint: Endpoint, contact_uri: str, expires: int) -> Response:
        contact = f'<{contact_uri}{self.push or ""}>;+sip.instance="<urn:uuid:{self.instance}>"'
        draft = Draft(
            method="REGISTER",
            uri=f"sip:{self._account.domain}",
            sender=f"{self._account.address};tag={new_token(4)}",
            recipient=self._account.address,
            call_id=self._call_id,
            sequence=self._sequence,
            contact=contact,
            headers=(("Expires", str(expires)),),
        )
        return await exchange(endpoint, self._account, draft)
