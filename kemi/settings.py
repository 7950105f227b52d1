"""What this Kamailio is called and where its neighbours are: read once at start, from the file named by NIGHTBELL_KEMI."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path


class SettingsError(ValueError):
    """A setting is missing, unknown or of a wrong kind; the text names it."""


@dataclass(frozen=True)
class Settings:
    """The settings of the SIP edge.

    ``domain`` and ``realm`` of the devices; ``address``, ``sip_port``, ``tls_port`` where PBXs and devices reach us; ``park``
    and ``events`` as ``host:port`` on loopback; ``events_key`` goes before every event, ``identity_key`` (hex) is what
    Call-IDs and dialog marks are derived from; ``media`` is False when calls never go through rtpengine,
    ``webrtc`` when WebRTC must not, for a known hole in it;
    ``origins`` are those of the web pages that may connect, separated by spaces, empty: any;
    ``turn_lowest`` to ``turn_highest`` are the ports of ``address`` that our TURN server relays from, 0 without one;
    ``projection`` is the edge agent's file of documents, read at start;
    ``push`` are the providers there are, as in pn-provider, separated by spaces, ``vapid`` the public key for Web Push;
    ``registers_per_second`` is the fastest that REGISTERs leave for all PBXs together, the other for one.
    """

    domain: str
    realm: str
    address: str
    sip_port: int
    tls_port: int
    park: str
    events: str
    events_key: str
    identity_key: str
    projection: str = ""
    media: bool = True
    webrtc: bool = True
    origins: str = ""
    turn_lowest: int = 0
    turn_highest: int = 0
    push: str = ""
    vapid: str = ""
    registers_per_second: int = 500
    registers_per_second_per_pbx: int = 400

    def __repr__(self) -> str:
        return f"Settings(domain={self.domain!r}, address={self.address!r}, keys=***)"

    @cached_property
    def park_port(self) -> int:
        """The port of the socket where held calls wait."""
        return int(self.park.rpartition(":")[2])

    @cached_property
    def parking_sockets(self) -> frozenset[tuple[str, int]]:
        """The sockets of ours that held calls, and what is said of them, are sent from."""
        return frozenset((a, p) for a in (self.address, "127.0.0.1") for p in (self.sip_port, self.park_port))

    @cached_property
    def own_route(self) -> str:
        """How the Route begins that our Record-Route of a call over UDP makes: one that nobody has changed on its way."""
        return f"<sip:{self.address}:{self.sip_port};lr=on;"

    def is_turn_relay(self, address: str, port: int) -> bool:
        """Whether what comes from there was sent by somebody behind our TURN server."""
        return self.turn_lowest <= port <= self.turn_highest and address == self.address

    @property
    def events_address(self) -> tuple[str, int]:
        """Where events go."""
        host, _, port = self.events.rpartition(":")
        return host, int(port)


def load(path: str | None = None) -> Settings:
    """Read the settings; raises SettingsError naming what is wrong."""
    name = path or os.environ.get("NIGHTBELL_KEMI", "")
    if not name:
        raise SettingsError("NIGHTBELL_KEMI is not set: it names kemi.json, which `nightbell up` writes")
    try:
        raw = json.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}: {error}") from None
    if not isinstance(raw, dict):
        raise SettingsError(f"{name}: must hold a JSON object of settings")
    known = {f.name: {"str": str, "int": int, "bool": bool}[str(f.type)] for f in fields(Settings)}
    for key, value in raw.items():
        if key not in known:
            raise SettingsError(f"{name}: unknown setting {key!r}; known are {', '.join(sorted(known))}")
        if type(value) is not known[key]:
            raise SettingsError(f"{name}: {key} must be {known[key].__name__}, not {value!r}")
    try:
        settings = Settings(**raw)
    except TypeError as error:
        raise SettingsError(f"{name}: {error}") from None
    _check(name, settings)
    return settings


def _check(name: str, settings: Settings) -> None:
    try:
        key = bytes.fromhex(settings.identity_key)
    except ValueError:
        raise SettingsError(f"{name}: identity_key must be hexadecimal") from None
    if not 16 <= len(key) <= 64:
        raise SettingsError(f"{name}: identity_key must be 16 to 64 bytes long, and has {len(key)}")
    if not settings.events_key or " " in settings.events_key:
        raise SettingsError(f"{name}: events_key must be a word, not empty")
    for key_name in ("park", "events"):
        host, _, port = getattr(settings, key_name).rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise SettingsError(f"{name}: {key_name} must be host:port, not {getattr(settings, key_name)!r}")
    for key_name in ("sip_port", "tls_port"):
        if not 0 < getattr(settings, key_name) < 65536:
            raise SettingsError(
                f"{name}: {key_name} must be from 1 to 65535, not {getattr(settings, key_name)}"
            )
