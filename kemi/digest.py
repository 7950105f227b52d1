"""Digest authentication as a client: read challenges, choose one, answer it (RFC 7616, RFC 8760). Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from sys import intern

_PARAMETER = re.compile(r'([\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_SCHEME = re.compile(r"(?:^|,)\s*([A-Za-z][\w-]*)\s+(?=[\w-]+\s*=)")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


MD5 = "MD5"
SHA256 = "SHA-256"
_HASHES: dict[str, Callable[[str], str]] = {MD5: _md5, SHA256: _sha256}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge we can answer. ``qop`` is whether it asks for qop=auth; ``proxy`` whether it came as a 407."""

    realm: str
    nonce: str
    algorithm: str
    opaque: str
    qop: bool
    stale: bool
    proxy: bool

    def alike(self, other: Challenge) -> bool:
        """Whether it differs in nothing but its nonce."""
        return (self.realm, self.algorithm, self.opaque, self.qop, self.proxy) == (
            other.realm,
            other.algorithm,
            other.opaque,
            other.qop,
            other.proxy,
        )


def challenges(header: str, proxy: bool) -> list[Challenge]:
    """All challenges in the (comma-joined) header bodies that we can answer, the strongest first.

    Left out are those without a nonce, of other algorithms, and with qop but without ``auth`` in it.
    """
    found = []
    pieces = _SCHEME.split(header)
    for scheme, part in zip(pieces[1::2], pieces[2::2], strict=True):
        values = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(part)}
        algorithm = values.get("algorithm", MD5).upper()
        qops = [q.strip().lower() for q in values.get("qop", "").split(",") if q.strip()]
        if not values.get("nonce") or algorithm not in _HASHES or (qops and "auth" not in qops):
            continue
        if scheme.lower() != "digest":
            continue
        found.append(
            Challenge(
                # Many accounts have the same PBX: one copy of what its challenges have in common.
                realm=intern(values.get("realm", "")),
                nonce=values["nonce"],
                algorithm=intern(algorithm),
                opaque=intern(values.get("opaque", "")),
                qop=bool(qops),
                stale=values.get("stale", "").lower() == "true",
                proxy=proxy,
            )
        )
    return sorted(found, key=lambda c: c.algorithm != SHA256)


@lru_cache(maxsize=1024)
def _ha2(algorithm: str, method: str, uri: str) -> str:
    return _HASHES[algorithm](f"{method}:{uri}")


def answer(
    challenge: Challenge, username: str, ha1: str, method: str, uri: str, nonce_count: int, client_nonce: str
) -> str:
    """The Authorization (or Proxy-Authorization) header line that answers ``challenge``, without CRLF."""
    digest = _HASHES[challenge.algorithm]
    ha2 = _ha2(challenge.algorithm, method, uri)
    name = "Proxy-Authorization" if challenge.proxy else "Authorization"
    line = (
        f'{name}: Digest username="{username}", realm="{challenge.realm}", nonce="{challenge.nonce}", '
        f'uri="{uri}", algorithm={challenge.algorithm}'
    )
    if challenge.qop:
        count = f"{nonce_count:08x}"
        response = digest(f"{ha1}:{challenge.nonce}:{count}:{client_nonce}:auth:{ha2}")
        line += f', qop=auth, nc={count}, cnonce="{client_nonce}", response="{response}"'
    else:
        line += f', response="{digest(f"{ha1}:{challenge.nonce}:{ha2}")}"'
    if challenge.opaque:
        line += f', opaque="{challenge.opaque}"'
    return line


def next_nonce(authentication_info: str) -> str:
    """``nextnonce`` of an Authentication-Info header, ``""`` when absent."""
    values = {
        name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(authentication_info)
    }
    return str(values.get("nextnonce", ""))
