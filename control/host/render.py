"""The files that tell Kamailio about this installation, made from the settings: pure text."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from control.host.errors import PrepareError
from control.push.errors import PushCredentialsError
from control.push.providers import pn_names, vapid_key
from control.settings import Settings, TurnSettings

REPOSITORY = Path(__file__).parents[2]
# A folder that is searched by hash: the system's one big file would cost two seconds of each start.
SYSTEM_AUTHORITIES = Path("/etc/ssl/certs")


def kamailio_cfg(settings: Settings, repository: Path = REPOSITORY) -> str:
    """run/kamailio.cfg: the names that the repository's kamailio.cfg leaves open, then that file."""
    edge = settings.edge
    names: dict[str, object] = {
        "NB_ADDR": edge.address,
        "NB_SIP_PORT": edge.sip_port,
        "NB_TLS_PORT": edge.tls_port,
        "NB_WS_PORT": edge.ws_port,
        "NB_WSS_PORT": edge.wss_port,
        "NB_PARK_PORT": edge.park_port,
        "NB_RPC_SOCKET": settings.rpc_socket,
        "NB_LOCATION_DB": settings.location_db,
        "NB_PROJECTION_DB": settings.projection_db,
        "NB_TLS_CONFIG": settings.run_dir / "tls.cfg",
        "NB_MEDIA_DB": settings.media_db,
        "NB_WEBSOCKET_PING": edge.websocket_ping,
        "NB_WORKERS": edge.workers,
        "NB_KEMI": repository / "kemi" / "main.py",
        "NB_DOMAIN": edge.domain,
    }
    lines = ["#!KAMAILIO", "# Written by `nightbell up` from nightbell.toml; changes here are lost."]
    lines += [f'#!substdef "!{name}!{_substitute(name, value)}!g"' for name, value in names.items()]
    lines.append(f'include_file "{_quoted(repository / "kamailio.cfg")}"')
    return "\n".join(lines) + "\n"


def kemi_json(settings: Settings, *, webrtc: bool = True) -> str:
    """run/kemi.json: what the scripts inside Kamailio read once at their start. It holds secrets."""
    edge, turn = settings.edge, settings.turn
    values = {
        "domain": edge.domain,
        "realm": edge.domain,
        "address": edge.address,
        "sip_port": edge.sip_port,
        "tls_port": edge.tls_port,
        "park": f"127.0.0.1:{edge.park_port}",
        "events": f"127.0.0.1:{edge.events_port}",
        "events_key": settings.events_key(),
        "identity_key": settings.identity_key(),
        "projection": str(settings.projection_db),
        "media": True,
        "webrtc": webrtc,
        "origins": _origins(settings),
        "turn_lowest": turn.relay_min if turn else 0,
        "turn_highest": turn.relay_max if turn else 0,
        "push": " ".join(pn_names(settings.push)),
        "vapid": _vapid(settings),
    }
    return json.dumps(values, indent=1) + "\n"


def _origins(settings: Settings) -> str:
    """The origins of web pages that may connect, our own phone's among them; empty: any."""
    listed = settings.edge.origins.lower().split()
    own = "/".join(settings.phone_url.lower().split("/")[:3])
    return " ".join(dict.fromkeys((*listed, own))) if listed else ""


def _vapid(settings: Settings) -> str:
    """The public key that browsers subscribe with, empty without Web Push."""
    try:
        return vapid_key(settings.push)
    except PushCredentialsError as error:
        raise PrepareError(str(error)) from None


def tls_cfg(settings: Settings) -> str:
    """run/tls.cfg: our certificate towards devices; towards a PBX, its certificate must be a trusted one."""
    return f"""# Written by `nightbell up` from nightbell.toml; changes here are lost.
[server:default]
method = TLSv1.2+
verify_certificate = no
require_certificate = no
certificate = {settings.tls_dir / "cert.pem"}
private_key = {settings.tls_dir / "key.pem"}

[client:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
ca_path = {SYSTEM_AUTHORITIES}
ca_list = {settings.tls_dir / "ca.pem"}
"""


def turnserver_conf(settings: Settings, turn: TurnSettings) -> str:
    """run/turnserver.conf: a TURN server that leads to our own media relay and nowhere else. It holds a secret."""
    address = settings.edge.address
    media = settings.media_addresses
    allowed = "\n".join(f"allowed-peer-ip={each}" for each in media)
    loopback = "allow-loopback-peers\n" if any(ipaddress.ip_address(m).is_loopback for m in media) else ""
    return f"""# Written by `nightbell up` from nightbell.toml; changes here are lost.
listening-ip={address}
relay-ip={address}
listening-port={turn.port}
tls-listening-port={turn.tls_port}
min-port={turn.relay_min}
max-port={turn.relay_max}
realm={settings.edge.domain}
use-auth-secret
static-auth-secret={settings.turn_secret()}
cert={settings.tls_dir / "cert.pem"}
pkey={settings.tls_dir / "key.pem"}
no-dtls
no-tlsv1
no-tlsv1_1
fingerprint
stale-nonce=600
user-quota=12
no-cli
no-tcp-relay
no-multicast-peers
no-rfc5780
no-software-attribute
userdb={settings.run_dir / "turn.db"}
pidfile={settings.run_dir / "turnserver.pid"}
log-file=stdout
simple-log
# Whoever has a credential may reach the media relay, and nobody else: not this host's loopback, not a network behind it,
# not the Internet. What is allowed goes before what is denied.
{loopback}{allowed}
denied-peer-ip=0.0.0.0-255.255.255.255
denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff
"""


def _substitute(name: str, value: object) -> str:
    text = str(value)
    # `!` would end the substitution, `&` and `\` mean something in it, `"` would end the string.
    if any(c in '!&\\"' or ord(c) <= 32 for c in text):
        raise PrepareError(
            f'{name} cannot be {text!r}: white space and any of ! & \\ " do not fit into kamailio.cfg; '
            "choose another home folder or value"
        )
    return text


def _quoted(path: Path) -> str:
    text = str(path)
    if '"' in text or any(ord(c) < 32 for c in text):
        raise PrepareError(f"the path {text!r} does not fit into kamailio.cfg; move the installation")
    return text
