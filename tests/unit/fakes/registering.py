"""A client of the fake registrar that is no more than its tests need: text out, replies read, digests by hashlib."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.registrar import Core, password
from tests.fakes.registrar.message import parameters

NOW = 1_800_000_000.0
ADDRESS = "192.0.2.7"
_branches = itertools.count(1)


@dataclass
class Reply:
    """A reply, taken apart."""

    code: int
    headers: dict[str, list[str]]

    @classmethod
    def of(cls, data: bytes) -> Reply:
        first, *lines = data.decode().partition("\r\n\r\n")[0].split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, body = line.partition(": ")
            headers.setdefault(name, []).append(body)
        return cls(int(first.split()[1]), headers)

    def challenge(self, number: int = 0) -> dict[str, str]:
        name = "Proxy-Authenticate" if self.code == 407 else "WWW-Authenticate"
        return parameters(self.headers[name][number])


def digest(
    challenge: dict[str, str], user: str, secret: str, count: int = 1, uri: str = "sip:pbx.test"
) -> str:
    """The body of an Authorization header."""
    name = {"MD5": "md5", "SHA-256": "sha256"}[challenge["algorithm"]]
    realm, nonce, nc = challenge["realm"], challenge["nonce"], f"{count:08x}"

    def h(text: str) -> str:
        return hashlib.new(name, text.encode()).hexdigest()

    ha1, ha2 = h(f"{user}:{realm}:{secret}"), h(f"REGISTER:{uri}")
    body = (
        f'Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
        f"algorithm={challenge['algorithm']}"
    )
    if "qop" not in challenge:
        return f'{body}, response="{h(f"{ha1}:{nonce}:{ha2}")}"'
    response = h(f"{ha1}:{nonce}:{nc}:c1:auth:{ha2}")
    return f'{body}, qop=auth, nc={nc}, cnonce="c1", response="{response}"'


@dataclass
class Client:
    """One account's device. ``core`` is what it registers at when no sockets are involved."""

    user: str
    core: Core | None = None
    call_id: str = "call-1"
    tag: str = "t1"
    cseq: int = 0
    contact: str = ""
    now: float = NOW
    challenge: dict[str, str] = field(default_factory=dict)
    count: int = 0
    replies: list[Reply] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.contact = self.contact or f"<sip:{self.user}@192.0.2.7:5060>"

    def request(
        self,
        credentials: str = "",
        *,
        proxy: bool = False,
        expires: int | None = 600,
        contact: str | None = None,
        transport: str = "UDP",
        more: tuple[str, ...] = (),
    ) -> bytes:
        """A REGISTER that is another transaction than the last one; ``contact`` ``""`` leaves it out."""
        self.cseq += 1
        contact = self.contact if contact is None else contact
        lines = [
            "REGISTER sip:pbx.test SIP/2.0",
            f"Via: SIP/2.0/{transport} 192.0.2.7:5060;branch=z9hG4bK{next(_branches)};rport",
            f"From: <sip:{self.user}@pbx.test>;tag={self.tag}",
            f"To: <sip:{self.user}@pbx.test>",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} REGISTER",
        ]
        lines += [f"Contact: {contact}"] if contact else []
        lines += [f"Expires: {expires}"] if expires is not None else []
        if credentials:
            lines.append(f"{'Proxy-Authorization' if proxy else 'Authorization'}: {credentials}")
        return "\r\n".join([*lines, *more, "Content-Length: 0\r\n\r\n"]).encode()

    def send(self, data: bytes, later: float = 0.0) -> list[Reply]:
        """Hand a request to the core; the final replies it would send at once."""
        assert self.core is not None
        self.now += later
        answers = self.core.receive(data, ADDRESS, self.now)
        self.replies = [Reply.of(answer.data) for answer in answers if answer.data]
        return self.replies

    def plain(self, later: float = 0.0, **options: Any) -> Reply:
        """A REGISTER without credentials; its one reply."""
        (reply,) = self.send(self.request(**options), later)
        return reply

    def answer(self, later: float = 0.0, secret: str = "", **options: Any) -> Reply:
        """A REGISTER with credentials for the challenge last kept; its one reply."""
        self.count += 1
        body = digest(self.challenge, self.user, secret or password(self.user), self.count)
        (reply,) = self.send(self.request(body, **options), later)
        return reply

    def keep(self, reply: Reply, number: int = 0) -> None:
        """Answer this challenge from now on."""
        self.challenge, self.count = reply.challenge(number), 0

    def register(self, expires: int = 600) -> Reply:
        """Two round trips: challenged, and answered."""
        self.keep(self.plain(expires=expires))
        return self.answer(expires=expires)
