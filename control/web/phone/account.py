"""What a phone in a page is told: who it is, where it registers, by which servers its media and its pushes come."""

from __future__ import annotations

from typing import Any

from control.push.providers import vapid_key
from control.services.ice import TurnServer, ice_servers
from control.settings import Settings
from control.store.models import Device


class Accounts:
    """Accounts of one installation; its keys are read once. Raises SettingsError, PushCredentialsError."""

    def __init__(self, settings: Settings) -> None:
        self._domain = settings.edge.domain
        self._websocket = settings.phone_websocket
        self._vapid_key = vapid_key(settings.push) or None
        self._turn = _turn(settings)

    def of(self, device: Device, now: float) -> dict[str, Any]:
        """All that a device's phone needs but its password, as docs/reference/browser-phone.md has it."""
        return {
            "device": device.id,
            "device_name": device.name,
            "user": device.user_id,
            "name": device.user.name,
            "domain": self._domain,
            "address": f"sip:{device.user_id}@{self._domain}",
            "sip": self._websocket,
            "ice_servers": [server.as_dict() for server in ice_servers(self._turn, device.id, now)],
            "vapid_key": self._vapid_key,
        }


def _turn(settings: Settings) -> TurnServer | None:
    turn = settings.turn
    if turn is None:
        return None
    host = turn.host or settings.edge.address
    return TurnServer(host, turn.port, turn.tls_port, settings.turn_secret(), turn.lifetime)
