"""Digest answers to a challenge (RFC 2617, RFC 7616, and RFC 8760 for SIP): MD5 and SHA-256, qop=auth."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from sipmessage import Response

from demo.phone.message import new_token

_PARAMETER = re.compile(r'([\w-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]+)')
_ANSWERED_BY = {"WWW-Authenticate": "Authorization", "Proxy-Authenticate": "Proxy-Authorization"}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_HASHES: dict[str, Callable[[str], str]] = {"MD5": _md5, "SHA-256": _sha256}


@dataclass(frozen=True)
class Challenge:
    """One Digest challenge; ``header`` is the header its answer goes into."""

    header: str
    realm: str
    nonce: str
    algorithm: str = "MD5"
    qop_auth: bool = False
    opaque: str = ""
    stale: bool = False


def challenges(response: Response) -> list[Challenge]:
    """The Digest challenges of a 401 or 407 with an algorithm the phone knows, in the server's order of preference."""
    found = []
    for name, header in _ANSWERED_BY.items():
        for value in response.headers.getlist(name):
            scheme, _, rest = value.strip().partition(" ")
            given = {key.lower(): _unquoted(text) for key, text in _PARAMETER.findall(rest)}
            algorithm = given.get("algorithm", "MD5").upper()
            if scheme.lower() != "digest" or algorithm not in _HASHES or "nonce" not in given:
                continue
            found.append(
                Challenge(
                    header=header,
                    realm=given.get("realm", ""),
                    nonce=given["nonce"],
                    algorithm=algorithm,
                    qop_auth="auth" in re.split(r"\s*,\s*", given.get("qop", "")),
                    opaque=given.get("opaque", ""),
                    stale=given.get("stale", "").lower() == "true",
                )
            )
    return found


def answer(
    challenge: Challenge,
    *,
    method: str,
    uri: str,
    username: str,
    password: str,
    cnonce: str = "",
) -> str:
    """The value of the Authorization (or Proxy-Authorization) header; ``cnonce`` is random unless given."""
    digest = _HASHES[challenge.algorithm]
    a1 = digest(f"{username}:{challenge.realm}:{password}")
    a2 = digest(f"{method}:{uri}")
    parts = [
        f'username="{_escaped(username)}"',
        f'realm="{_escaped(challenge.realm)}"',
        f'nonce="{_escaped(challenge.nonce)}"',
        f'uri="{uri}"',
        f"algorithm={challenge.algorithm}",
    ]
    if challenge.qop_auth:
        cnonce = cnonce or new_token()
        proof = digest(f"{a1}:{challenge.nonce}:00000001:{cnonce}:auth:{a2}")
        parts += ["qop=auth", "nc=00000001", f'cnonce="{cnonce}"']
    else:
        proof = digest(f"{a1}:{challenge.nonce}:{a2}")
    parts.append(f'response="{proof}"')
    if challenge.opaque:
        parts.append(f'opaque="{_escaped(challenge.opaque)}"')
    return "Digest " + ", ".join(parts)


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def _escaped(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
