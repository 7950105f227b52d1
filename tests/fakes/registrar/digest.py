"""Digest authentication as the server: challenges out, answers checked (RFC 7616, RFC 8760). Shares no code with kemi."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from tests.fakes.registrar.behaviour import Behaviour

_KEPT = 4  # nonces remembered for an account; an older one is stale

_serial = itertools.count(1)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_HASHES: dict[str, Callable[[str], str]] = {"MD5": _md5, "SHA-256": _sha256}


def password(user: str) -> str:
    """The password that an account has unless it was ordered otherwise."""
    return f"pw-{user}"


def ha1(user: str, realm: str, algorithm: str = "MD5", secret: str = "") -> str:
    """HA1 of an account, in hex."""
    return _HASHES[algorithm](f"{user}:{realm}:{secret or password(user)}")


class Verdict(Enum):
    """What an answer to a challenge is worth."""

    RIGHT = "right"
    WRONG = "wrong"
    STALE = "stale"
    REPLAYED = "replayed"  # a nonce count that is not above the last one


@dataclass(slots=True)
class Nonce:
    """One nonce given out: until when it is good, how often it was used, and its last nonce count."""

    good_until: float
    uses: int = 0
    count: int = 0


@dataclass(slots=True)
class Gate:
    """The nonces of one account, and what guards it."""

    user: str
    nonces: dict[str, Nonce] = field(default_factory=dict)
    _ha1: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def challenge(self, how: Behaviour, realm: str, now: float, stale: bool = False) -> list[str]:
        """The header lines of a challenge."""
        name = "Proxy-Authenticate" if how.proxy else "WWW-Authenticate"
        bodies = []
        for algorithm in how.algorithms:
            body = (
                f'Digest realm="{how.realm or realm}", nonce="{self.fresh(how, now)}", algorithm={algorithm}'
            )
            if how.qop:
                body += f', qop="{how.qop}"'
            if how.opaque:
                body += ', opaque="5ccc069c"'
            if stale or how.stale_always:
                body += ", stale=true"
            bodies.append(body)
        return [f"{name}: {', '.join(bodies)}"] if how.joined else [f"{name}: {body}" for body in bodies]

    def fresh(self, how: Behaviour, now: float) -> str:
        """A nonce that is good from now on."""
        nonce = how.nonce or f"{next(_serial):x}.{random.getrandbits(64):016x}"
        self.nonces[nonce] = Nonce(now + how.nonce_life)
        while len(self.nonces) > _KEPT:
            del self.nonces[next(iter(self.nonces))]
        return nonce

    def check(self, given: dict[str, str], how: Behaviour, realm: str, method: str, now: float) -> Verdict:
        """Judge an answer. The password first: a stale nonce is only called so to somebody who knows it."""
        algorithm = given.get("algorithm", "MD5").upper()
        asked = how.realm or realm
        if algorithm not in how.algorithms or algorithm not in _HASHES or given.get("realm") != asked:
            return Verdict.WRONG
        count = given.get("nc", "")
        if given.get("username") != self.user or given.get("response") != self._response(
            given, how, algorithm, method
        ):
            return Verdict.WRONG
        nonce = self.nonces.get(given.get("nonce", ""))
        if nonce is None or now > nonce.good_until or how.stale_always:
            return Verdict.STALE
        if how.nonce_uses and nonce.uses >= how.nonce_uses:
            return Verdict.STALE
        if how.qop:
            if int(count, 16) <= nonce.count:
                return Verdict.REPLAYED
            nonce.count = int(count, 16)
        nonce.uses += 1
        return Verdict.RIGHT

    def _response(self, given: dict[str, str], how: Behaviour, algorithm: str, method: str) -> str:
        key = (given["realm"], algorithm, how.password)
        known = self._ha1.get(key)
        if known is None:
            known = self._ha1[key] = ha1(self.user, given["realm"], algorithm, how.password)
        digest = _HASHES[algorithm]
        a2 = digest(f"{method}:{given.get('uri', '')}")
        if not how.qop:
            return digest(f"{known}:{given.get('nonce')}:{a2}")
        if given.get("qop") != "auth" or not _is_count(given.get("nc", "")):
            return "no answer to qop=auth"
        return digest(f"{known}:{given.get('nonce')}:{given['nc']}:{given.get('cnonce')}:auth:{a2}")


def _is_count(text: str) -> bool:
    return len(text) == 8 and all(c in "0123456789abcdef" for c in text.lower())
