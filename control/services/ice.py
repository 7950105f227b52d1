"""What a device is told of STUN and TURN: addresses, and a credential that expires by itself.

The credential is the one of "TURN REST": its name is the moment it expires and the device, its password a keyed hash of
the name, with a key that coturn and we have (draft-uberti-behave-turn-rest). Nothing is stored, nothing has to be revoked.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TurnServer:
    """Where our TURN server listens, the key it shares with us, and how long a credential is good for, in seconds."""

    host: str
    port: int
    tls_port: int
    secret: str = field(repr=False)
    lifetime: int = 86_400


@dataclass(frozen=True)
class IceServer:
    """One entry of a browser's ``iceServers``; user name and credential are empty for STUN."""

    urls: tuple[str, ...]
    username: str = ""
    credential: str = field(default="", repr=False)

    def as_dict(self) -> dict[str, object]:
        """As ``RTCPeerConnection`` takes it (WebRTC 1.0, RTCIceServer)."""
        urls: dict[str, object] = {"urls": list(self.urls)}
        if not self.username:
            return urls
        return {**urls, "username": self.username, "credential": self.credential}


def ice_servers(server: TurnServer | None, device: str, now: float) -> list[IceServer]:
    """What a device is to use, with a credential of its own that is good from now (UNIX seconds) on; none without a server."""
    if server is None:
        return []
    host = f"[{server.host}]" if ":" in server.host else server.host
    username = f"{int(now) + server.lifetime}:{device}"
    return [
        IceServer((f"stun:{host}:{server.port}",)),
        IceServer(
            (
                f"turn:{host}:{server.port}?transport=udp",
                f"turn:{host}:{server.port}?transport=tcp",
                f"turns:{host}:{server.tls_port}?transport=tcp",
            ),
            username,
            _credential(username, server.secret),
        ),
    ]


def _credential(username: str, secret: str) -> str:
    # SHA-1 is what coturn's `use-auth-secret` checks; as HMAC it is not broken.
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
