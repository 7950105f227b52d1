"""The settings of one installation: ``nightbell.toml`` in its home folder, read once into one frozen tree."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from control.domain.reach import ReachTerms
from control.domain.wakes import WaitPolicy
from control.push.providers import PROVIDERS
from control.settings_table import (
    FILE_NAME,
    MalformedSettingError,
    SettingsMissingError,
    read,
    read_setting,
    refuse_unknown,
    table,
)

DEFAULT_HOME = Path("run")
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class EdgeSettings:
    """What the SIP edge listens to. ``park_port`` and ``events_port`` are bound to loopback always."""

    domain: str = "nightbell.test"
    address: str = "127.0.0.1"
    sip_port: int = 5060  # UDP and TCP
    tls_port: int = 5061
    ws_port: int = 5080
    wss_port: int = 5081
    park_port: int = 5090  # Kamailio's own socket for held calls
    events_port: int = 5091  # Kamailio to edge agent
    origins: str = ""  # of web pages that may connect, separated by spaces; empty: any
    websocket_ping: int = 30  # s without a word before a WebSocket is pinged, and again before it is given up
    silence: int = 60  # s without audio from either side after which a call is ended; 0: never
    workers: int = 2
    shared_memory_mb: int = 1024  # Kamailio's -m: bindings, calls, documents; what is not used costs nothing
    private_memory_mb: int = 64  # Kamailio's -M: of each process
    events_key_file: Path = Path("secrets/events.key")
    identity_key_file: Path = Path("secrets/identity.key")


@dataclass(frozen=True)
class DatabaseSettings:
    """SQLAlchemy URL; a relative SQLite path is below the home folder. Not in repr: may hold a password."""

    url: str = field(default="sqlite:///state/control.db", repr=False)


@dataclass(frozen=True)
class RtpengineSettings:
    """One media relay; calls are spread over all of them by ``weight``.

    ``control`` is where it takes orders, ``address`` where its media goes, empty: ``edge.address``. One that does not run
    ``here`` is started by somebody else. ``tree`` is the folder of an rtpengine unpacked from another Debian release; None:
    the one scripts/bootstrap has unpacked if there is one, else the system's own. One that is open to CVE-2023-51275 gets no
    calls by WebRTC unless ``accept_vulnerable``.
    """

    name: str = "rtpengine"
    weight: int = 1
    here: bool = True
    address: str = ""
    ng_port: int = 2223
    rtp_min: int = 30000
    rtp_max: int = 39999
    tree: Path | None = None
    control: str = "127.0.0.1"
    accept_vulnerable: bool = False


@dataclass(frozen=True)
class TurnSettings:
    """Our TURN server (coturn), for devices whose network lets no other media through.

    ``host`` is what devices are told, empty: ``edge.address``. ``lifetime`` of a credential in seconds.
    """

    host: str = ""
    port: int = 3478  # UDP and TCP
    tls_port: int = 5349
    relay_min: int = 20000
    relay_max: int = 29999
    lifetime: int = 86_400
    secret_file: Path = Path("secrets/turn.key")


@dataclass(frozen=True)
class WebSettings:
    """Where the pages and the API listen. Loopback only: this version has no logins."""

    address: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True)
class PhoneSettings:
    """The phone in the page, as its user reaches it. Both empty: for a browser on this machine.

    ``url`` is what is in front of the pages, a TLS proxy as a rule: browsers give no microphone to a page without TLS.
    Under its name nothing but the phone is served. ``websocket`` is where Kamailio's secure WebSocket is found.
    """

    url: str = ""
    websocket: str = ""

    def __post_init__(self) -> None:
        _check_url("url", self.url, "https", "http")
        if urlsplit(self.url).path not in ("", "/"):
            raise ValueError(
                f"url must end with the host or the port, not {self.url!r}: the phone is at /phone/ there"
            )
        _check_url("websocket", self.websocket, "wss", "ws")


def _check_url(key: str, value: str, secure: str, plain: str) -> None:
    if not value:
        return
    parts = urlsplit(value)
    if parts.scheme not in (secure, plain) or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"{key} must be like {secure}://phone.example.org, not {value!r}")
    if parts.username is not None or any(c in value for c in " '\";,"):
        raise ValueError(f"{key} holds what no such address does: {value!r}")
    if parts.scheme == plain and parts.hostname not in LOOPBACK_NAMES:
        raise ValueError(
            f"{key} must begin with {secure}:, not {value!r}: browsers give no microphone to a page without TLS"
        )


@dataclass(frozen=True)
class JournalSettings:
    """For how many days is kept: calls, the register log, alarms that are over, push tokens not brought again."""

    keep_days: int = 90
    register_log_days: int = 90
    alarm_days: int = 365
    token_days: int = 270  # as long as Google keeps one that nobody uses


@dataclass(frozen=True)
class WakeSettings:
    """How long calls wait for sleeping phones, in seconds, and how many calls a minute may send pushes (0: any number).

    ``usual_wait`` is for a phone whose wake times are not known yet; that of others follows them between the bounds. A
    connection's own wait is never exceeded.
    """

    usual_wait: int = 20
    least_wait: int = 12
    most_wait: int = 45
    unreachable_after: int = 3
    calls_per_callee: int = 20
    calls_per_domain: int = 12_000
    caller_in_push: bool = False

    @property
    def policy(self) -> WaitPolicy:
        """The bounds, as the decision wants them."""
        return WaitPolicy(self.usual_wait, self.least_wait, self.most_wait)


@dataclass(frozen=True)
class Settings:
    """All settings, every path absolute, and the places of the files that follow from the home folder."""

    home: Path
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    rtpengine: tuple[RtpengineSettings, ...] = (RtpengineSettings(),)
    turn: TurnSettings | None = None  # None: there is no [turn], and no TURN server
    web: WebSettings = field(default_factory=WebSettings)
    phone: PhoneSettings = field(default_factory=PhoneSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    wake: WakeSettings = field(default_factory=WakeSettings)
    push: Mapping[str, Any] = field(
        default_factory=dict
    )  # provider to its settings; see control/push/providers.py

    @property
    def reach_terms(self) -> ReachTerms:
        """What decides how a device stands."""
        return ReachTerms(tuple(self.push), self.wake.unreachable_after, self.wake.policy)

    @property
    def phone_url(self) -> str:
        """Where the phone in the page is found, without a slash at the end."""
        return self.phone.url.rstrip("/") or _url("http", self.web.address, self.web.port)

    @property
    def phone_websocket(self) -> str:
        """Where that phone speaks SIP. Without a setting by the domain: the certificate is made out to it."""
        return self.phone.websocket or _url("wss", self.edge.domain, self.edge.wss_port)

    @property
    def run_dir(self) -> Path:
        """Generated configuration, sockets and pid files."""
        return self.home / "run"

    @property
    def log_dir(self) -> Path:
        """One file a process."""
        return self.home / "log"

    @property
    def state_dir(self) -> Path:
        """What must survive a restart."""
        return self.home / "state"

    @property
    def tls_dir(self) -> Path:
        """ca.pem, cert.pem and key.pem of the SIP edge."""
        return self.home / "tls"

    @property
    def secrets_dir(self) -> Path:
        """Keys made at ``nightbell init``; mode 0700."""
        return self.home / "secrets"

    @property
    def rpc_socket(self) -> Path:
        """Kamailio's JSON-RPC datagram socket."""
        return self.run_dir / "kamailio.rpc"

    @property
    def location_db(self) -> Path:
        """Kamailio's bindings (usrloc)."""
        return self.state_dir / "location.db"

    @property
    def media_db(self) -> Path:
        """Kamailio's table of media relays, and which of them are drained."""
        return self.state_dir / "media.db"

    @property
    def media_addresses(self) -> tuple[str, ...]:
        """Where media goes, each once."""
        return tuple(dict.fromkeys(relay.address or self.edge.address for relay in self.rtpengine))

    @property
    def projection_db(self) -> Path:
        """What Kamailio's hash tables load at its start; holds HA1s, mode 0600."""
        return self.state_dir / "projection.db"

    @property
    def kemi_json(self) -> Path:
        """What the scripts inside Kamailio are told."""
        return self.run_dir / "kemi.json"

    @property
    def edge_ready(self) -> Path:
        """Exists while the edge agent is at work."""
        return self.run_dir / "edge.ready"

    def events_key(self) -> str:
        """The secret that marks Kamailio's datagrams as its own; raises SettingsMissingError."""
        return read_secret(self.edge.events_key_file)

    def identity_key(self) -> str:
        """The secret (hex) behind upstream Call-IDs and From-tags; raises SettingsMissingError."""
        return read_secret(self.edge.identity_key_file)

    def turn_secret(self) -> str:
        """What credentials for our TURN server are made with; raises SettingsMissingError."""
        if self.turn is None:
            raise SettingsMissingError(f"there is no [turn] in {FILE_NAME}: no TURN server is set up")
        return read_secret(self.turn.secret_file)


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def read_secret(path: Path) -> str:
    """The one line held by a secret file. Raises SettingsMissingError if there is none."""
    try:
        value = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsMissingError(f"{path}: {error.strerror}; `nightbell init` writes it") from None
    if not value:
        raise SettingsMissingError(f"{path} is empty; remove it and run `nightbell init`")
    return value


def home_from(option: str | os.PathLike[str] | None, environment: Mapping[str, str]) -> Path:
    """The home folder: ``--home`` if given, else ``NIGHTBELL_HOME``, else ``./run``; absolute."""
    return Path(option or environment.get("NIGHTBELL_HOME") or DEFAULT_HOME).absolute()


def load(home: Path) -> Settings:
    """Read ``nightbell.toml`` of a home folder. Raises SettingsError naming what is wrong and what to do."""
    home = home.absolute()
    path = home / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsMissingError(
            f"{path}: {error.strerror}; `nightbell init --home {home}` writes it"
        ) from None
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MalformedSettingError(f"{path} is not TOML: {error}") from None
    return parse(raw, home)


def parse(raw: Mapping[str, Any], home: Path) -> Settings:
    """Build the tree from parsed TOML; relative paths are taken from ``home``. Raises SettingsError."""
    tables = dict(raw)
    push = table(tables.pop("push", {}), "push")
    refuse_unknown({k: v for k, v in push.items() if k not in PROVIDERS}, "push.", tuple(PROVIDERS))
    known = ("edge", "database", "rtpengine", "turn", "web", "phone", "journal", "wake")
    refuse_unknown({k: v for k, v in tables.items() if k not in known}, "", (*known, "push"))
    settings = Settings(
        home=home,
        edge=read(EdgeSettings, tables.get("edge", {}), "edge", home),
        database=_database(read(DatabaseSettings, tables.get("database", {}), "database", home), home),
        rtpengine=_relays(tables["rtpengine"], home) if "rtpengine" in tables else Settings.rtpengine,
        turn=read(TurnSettings, tables["turn"], "turn", home) if "turn" in tables else None,
        web=read(WebSettings, tables.get("web", {}), "web", home),
        phone=read(PhoneSettings, tables.get("phone", {}), "phone", home),
        journal=read(JournalSettings, tables.get("journal", {}), "journal", home),
        wake=read(WakeSettings, tables.get("wake", {}), "wake", home),
        push={
            name: read_setting(PROVIDERS[name].settings, push[name], f"push.{name}", home)
            for name in PROVIDERS
            if name in push
        },
    )
    _check(settings)
    for name, tables in settings.push.items():
        if isinstance(tables, Mapping) and (taken := PROVIDERS.keys() & tables.keys()):
            raise MalformedSettingError(
                f"push.{name}.{min(taken)}: there is a provider of this name; choose another"
            )
    return settings


Table = Mapping[str, str | int | bool | Path | list[str]]


def render(tables: Mapping[str, Table | Sequence[Table]]) -> str:
    """The text of a ``nightbell.toml`` with these tables and lists of tables, for whoever writes one."""
    lines: list[str] = []
    for heading, values in _headed(tables):
        lines.append(heading)
        for key, value in values.items():
            # JSON's strings, numbers and booleans are TOML's too.
            lines.append(f"{key} = {json.dumps(str(value) if isinstance(value, Path) else value)}")
        lines.append("")
    return "\n".join(lines)


def _headed(tables: Mapping[str, Table | Sequence[Table]]) -> Iterator[tuple[str, Table]]:
    for name, given in tables.items():
        if isinstance(given, Mapping):
            yield f"[{name}]", given
        else:
            yield from ((f"[[{name}]]", each) for each in given)


def _database(database: DatabaseSettings, home: Path) -> DatabaseSettings:
    scheme, separator, path = database.url.partition(":///")
    if not scheme.startswith("sqlite"):
        return database
    if not separator or not path:
        raise MalformedSettingError("database.url: an SQLite URL needs a file: sqlite:///state/control.db")
    return DatabaseSettings(url=f"{scheme}:///{home / path}")


def _check(settings: Settings) -> None:
    edge, web = settings.edge, settings.web
    if not edge.domain or any(c in edge.domain for c in " !;@<>\"'/\\"):
        raise MalformedSettingError(f"edge.domain must be a host name, not {edge.domain!r}")
    _check_address("edge.address", edge.address)
    for relay in settings.rtpengine:
        _check_relay(relay)
    _check_relays(settings.rtpengine)
    if not _check_address("web.address", web.address).is_loopback:
        raise MalformedSettingError(
            f"web.address {web.address} is not loopback; the pages have no logins yet: use 127.0.0.1"
        )
    if settings.turn is not None:
        _check_turn(settings.turn)
    for origin in edge.origins.split():
        if not _ORIGIN.fullmatch(origin):
            raise MalformedSettingError(
                f"edge.origins: {origin!r} is no origin: write scheme and host alone, such as https://phone.example"
            )
    if not 1 <= edge.websocket_ping <= 3600:
        raise MalformedSettingError(
            f"edge.websocket_ping is {edge.websocket_ping}: write seconds, from 1 to 3600"
        )
    if not 0 <= edge.silence <= 3600:
        raise MalformedSettingError(f"edge.silence must be from 0 to 3600 s, not {edge.silence}")
    if not 1 <= edge.workers <= 256:
        raise MalformedSettingError(f"edge.workers must be between 1 and 256, not {edge.workers}")
    for name in ("shared_memory_mb", "private_memory_mb"):
        if not 16 <= getattr(edge, name) <= 65_536:
            raise MalformedSettingError(
                f"edge.{name} must be between 16 and 65536 MB, not {getattr(edge, name)}"
            )
    _check_wake(settings.wake)
    for f in fields(settings.journal):
        days = getattr(settings.journal, f.name)
        if not 1 <= days <= 36500:
            raise MalformedSettingError(f"journal.{f.name} must be between 1 and 36500 days, not {days}")


def _check_wake(wake: WakeSettings) -> None:
    if not 1 <= wake.least_wait <= wake.usual_wait <= wake.most_wait <= 120:
        raise MalformedSettingError(
            f"wake.least_wait {wake.least_wait}, wake.usual_wait {wake.usual_wait} and wake.most_wait "
            f"{wake.most_wait} must be between 1 and 120 seconds, in this order from the least to the most"
        )
    if not 1 <= wake.unreachable_after <= 20:
        raise MalformedSettingError(
            f"wake.unreachable_after must be between 1 and 20 calls, not {wake.unreachable_after}"
        )
    for name in ("calls_per_callee", "calls_per_domain"):
        if not 0 <= getattr(wake, name) <= 10_000_000:
            raise MalformedSettingError(
                f"wake.{name} must be between 0 (no limit) and 10000000 calls a minute, not {getattr(wake, name)}"
            )


_ORIGIN = re.compile(r"https?://[A-Za-z0-9._-]+(:\d{1,5})?", re.ASCII)
_PROGRAMS = ("kamailio", "edge", "web", "turn")  # their pid and log files have these names


def _relays(raw: object, home: Path) -> tuple[RtpengineSettings, ...]:
    if not isinstance(raw, list) or not raw:
        raise MalformedSettingError("rtpengine must be a list: write [[rtpengine]], once for each of them")
    return tuple(
        read(RtpengineSettings, each, f"rtpengine[{number}]", home) for number, each in enumerate(raw, 1)
    )


def _check_relay(relay: RtpengineSettings) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", relay.name) or relay.name in _PROGRAMS:
        raise MalformedSettingError(
            f"rtpengine.name must be small letters, digits and hyphens, and none of {', '.join(_PROGRAMS)}; not {relay.name!r}"
        )
    _check_address("rtpengine.control", relay.control)
    if relay.address:
        _check_address("rtpengine.address", relay.address)
    if not 1 <= relay.weight <= 100:
        raise MalformedSettingError(f"rtpengine.weight must be between 1 and 100, not {relay.weight}")
    for name in ("rtp_min", "rtp_max"):
        if not 1 <= getattr(relay, name) <= 65535:
            raise MalformedSettingError(
                f"rtpengine.{name} must be a port between 1 and 65535, not {getattr(relay, name)}"
            )
    if relay.rtp_min >= relay.rtp_max:
        raise MalformedSettingError(
            f"rtpengine.rtp_min {relay.rtp_min} must be below rtpengine.rtp_max {relay.rtp_max}"
        )


def _check_relays(relays: tuple[RtpengineSettings, ...]) -> None:
    for number, relay in enumerate(relays):
        for other in relays[:number]:
            if relay.name == other.name:
                raise MalformedSettingError(
                    f"rtpengine.name {relay.name!r} is there twice: give each of them its own"
                )
            if (relay.control, relay.ng_port) == (other.control, other.ng_port):
                raise MalformedSettingError(
                    f"rtpengine.ng_port {relay.ng_port} is that of {other.name} and of {relay.name}"
                )
            if relay.address == other.address and not (
                relay.rtp_max < other.rtp_min or other.rtp_max < relay.rtp_min
            ):
                raise MalformedSettingError(
                    f"rtpengine.rtp_min to rtp_max of {other.name} and of {relay.name} overlap: give each its own ports"
                )


def _check_turn(turn: TurnSettings) -> None:
    if not 1024 <= turn.relay_min < turn.relay_max <= 65535:
        raise MalformedSettingError(
            f"turn.relay_min {turn.relay_min} must be 1024 or more and below turn.relay_max {turn.relay_max}, "
            "which may be 65535 at most"
        )
    if not 60 <= turn.lifetime <= 604_800:
        raise MalformedSettingError(
            f"turn.lifetime must be between 60 and 604800 s (a week), not {turn.lifetime}"
        )
    if any(c in turn.host for c in " /?@[]\"'"):
        raise MalformedSettingError(f"turn.host must be a host name or an IP address, not {turn.host!r}")


def _check_address(name: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise MalformedSettingError(f"{name} must be an IP address, not {value!r}") from None
