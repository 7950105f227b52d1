"""The settings of the demo's installation: everything on one address, and the providers' sandbox in the providers' place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control import settings
from demo.ports import RELAY_OF_TURN, RTP_OF_RTPENGINE

_EDGE = ("sip", "tls", "ws", "wss", "park", "events")
PORTS = (*_EDGE, "ng", "ng2", "turn", "turns", "web", "apns", "fcm", "webpush", "control")


def text(
    address: str,
    ports: Mapping[str, int],
    sandbox: Mapping[str, Any],
    *,
    relays: Sequence[str],
    edge: Mapping[str, int | str],
    phone_scheme: str,
) -> str:
    """What stands in ``nightbell.toml``.

    ``ports`` has one of each of PORTS, ``sandbox`` is what the sandbox says of itself (``sandbox.json``), ``edge`` more settings of
    that table; the phone in the page speaks SIP by ``phone_scheme``, ws or wss.
    """
    apns, fcm, authority = sandbox["apns"], sandbox["fcm"], sandbox["ca_file"]
    return settings.render(
        {
            "edge": {"address": address, **{f"{name}_port": ports[name] for name in _EDGE}, **edge},
            "rtpengine": [
                {
                    "name": name,
                    "ng_port": ports[port],
                    "rtp_min": lowest,
                    "rtp_max": highest,
                    "control": address,
                }
                for name, port, (lowest, highest) in zip(
                    relays, ("ng", "ng2"), RTP_OF_RTPENGINE, strict=False
                )
            ],
            "turn": {
                "port": ports["turn"],
                "tls_port": ports["turns"],
                "relay_min": RELAY_OF_TURN[0],
                "relay_max": RELAY_OF_TURN[1],
            },
            "web": {"address": address, "port": ports["web"]},
            "phone": {"websocket": f"{phone_scheme}://{address}:{ports[phone_scheme]}"},
            "push.apns": {"server": apns["server"], "port": apns["port"], "ca_file": authority},
            "push.apns.keys": [{name: apns[name] for name in ("key_file", "key_id", "team_id")}],
            "push.fcm": {"base_url": fcm["base_url"], "ca_file": authority},
            "push.fcm.accounts": [{"service_account_file": fcm["service_account_file"]}],
            "push.webpush": {
                "contact": "mailto:demo@nightbell.example",
                "allow_private": [f"{address}/32"],
                "ca_file": authority,
            },
        }
    )
