"""The settings of one installation: ``nightbell.toml`` in its home folder, read once into one frozen tree.

SettingsError
├── SettingsMissingError     there is no nightbell.toml (or a file it names)
├── UnknownSettingError      a key this version does not know
└── MalformedSettingError    a value of the wrong kind, or out of range
"""

from __future__ import annotations

import ipaddress
import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

FILE_NAME = "nightbell.toml"
DEFAULT_HOME = Path("run")


class SettingsError(Exception):
    """The settings cannot be used; the text names the file, the key, and what to write instead."""

    id = "settings"


class SettingsMissingError(SettingsError):
    """The settings file, or a file it names, does not exist or cannot be read."""

    id = "settings-missing"


class UnknownSettingError(SettingsError):
    """A key this version does not know: a typing error, or a file of another version."""

    id = "settings-unknown"


class MalformedSettingError(SettingsError):
    """A value of the wrong kind, or outside what is possible."""

    id = "settings-malformed"


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
    workers: int = 2
    shared_memory_mb: int = 256  # Kamailio's -m: bindings, calls, documents
    private_memory_mb: int = 64  # Kamailio's -M: of each process
    events_key_file: Path = Path("secrets/events.key")
    identity_key_file: Path = Path("secrets/identity.key")


@dataclass(frozen=True)
class DatabaseSettings:
    """SQLAlchemy URL; a relative SQLite path is below the home folder. Not in repr: may hold a password."""

    url: str = field(default="sqlite:///state/control.db", repr=False)


@dataclass(frozen=True)
class RtpengineSettings:
    """``tree`` is the folder of an rtpengine unpacked from another Debian release.

    None: the one scripts/bootstrap has unpacked if there is one, else the system's own.
    """

    ng_port: int = 2223
    rtp_min: int = 30000
    rtp_max: int = 39999
    tree: Path | None = None
    control: str = "127.0.0.1"


@dataclass(frozen=True)
class WebSettings:
    """Where the pages and the API listen. Loopback only: this version has no logins."""

    address: str = "127.0.0.1"
    port: int = 8080


@dataclass(frozen=True)
class JournalSettings:
    """For how many days what was recorded is kept: calls, the register log, and alarms that are over."""

    keep_days: int = 90
    register_log_days: int = 90
    alarm_days: int = 365


@dataclass(frozen=True)
class ApnsSettings:
    """Apple's provider: signing key (.p8) and ids. ``server`` empty: Apple's, by each token's environment."""

    key_file: Path
    key_id: str
    team_id: str
    server: str = ""
    port: int = 443
    ca_file: Path | None = None  # None: the system's certificate authorities


@dataclass(frozen=True)
class FcmSettings:
    """Google's provider: the service account file. ``base_url`` empty: Google's own."""

    service_account_file: Path
    base_url: str = ""
    ca_file: Path | None = None  # None: the system's certificate authorities


@dataclass(frozen=True)
class PushSettings:
    """The push providers this installation may use; None: not set up."""

    apns: ApnsSettings | None = None
    fcm: FcmSettings | None = None


@dataclass(frozen=True)
class Settings:
    """All settings, every path absolute, and the places of the files that follow from the home folder."""

    home: Path
    edge: EdgeSettings = field(default_factory=EdgeSettings)
    database: DatabaseSettings = field(default_factory=DatabaseSettings)
    rtpengine: RtpengineSettings = field(default_factory=RtpengineSettings)
    web: WebSettings = field(default_factory=WebSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    push: PushSettings = field(default_factory=PushSettings)

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
    push = dict(_table(tables.pop("push", {}), "push"))
    apns, fcm = push.pop("apns", None), push.pop("fcm", None)
    _refuse_unknown(push, "push.", ("apns", "fcm"))
    known = ("edge", "database", "rtpengine", "web", "journal")
    _refuse_unknown({k: v for k, v in tables.items() if k not in known}, "", (*known, "push"))
    settings = Settings(
        home=home,
        edge=_section(EdgeSettings, tables, "edge", home),
        database=_database(_section(DatabaseSettings, tables, "database", home), home),
        rtpengine=_section(RtpengineSettings, tables, "rtpengine", home),
        web=_section(WebSettings, tables, "web", home),
        journal=_section(JournalSettings, tables, "journal", home),
        push=PushSettings(
            apns=None if apns is None else _section(ApnsSettings, {"push.apns": apns}, "push.apns", home),
            fcm=None if fcm is None else _section(FcmSettings, {"push.fcm": fcm}, "push.fcm", home),
        ),
    )
    _check(settings)
    return settings


def render(tables: Mapping[str, Mapping[str, str | int | bool | Path]]) -> str:
    """The text of a ``nightbell.toml`` with these tables, for whoever writes one."""
    lines: list[str] = []
    for name, values in tables.items():
        lines.append(f"[{name}]")
        for key, value in values.items():
            # JSON's strings, numbers and booleans are TOML's too.
            lines.append(f"{key} = {json.dumps(str(value) if isinstance(value, Path) else value)}")
        lines.append("")
    return "\n".join(lines)


_S = TypeVar("_S")


def _section(kind: type[_S], tables: Mapping[str, Any], name: str, home: Path) -> _S:
    raw = _table(tables.get(name, {}), name)
    hints = get_type_hints(kind)
    declared = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    _refuse_unknown({k: v for k, v in raw.items() if k not in declared}, f"{name}.", tuple(declared))
    values: dict[str, Any] = {}
    for key, spec in declared.items():
        if key in raw:
            values[key] = _value(hints[key], raw[key], f"{name}.{key}", home)
        elif isinstance(spec.default, Path):
            values[key] = home / spec.default
        elif spec.default is MISSING:
            raise MalformedSettingError(f"{name}.{key} is missing from {FILE_NAME}, and it has no default")
    return kind(**values)


def _table(raw: object, name: str) -> Mapping[str, Any]:
    if not isinstance(raw, dict):
        raise MalformedSettingError(f"{name} must be a table: write [{name}] and its keys below")
    return raw


def _refuse_unknown(rest: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> None:
    for key in rest:
        raise UnknownSettingError(
            f"unknown setting {prefix}{key} in {FILE_NAME}; known here: {', '.join(known)}"
        )


def _value(kind: object, raw: object, name: str, home: Path) -> object:
    if kind is int:
        if isinstance(raw, bool) or not isinstance(raw, int):
            raise MalformedSettingError(f"{name} must be a whole number, not {raw!r}")
        return raw
    if not isinstance(raw, str):
        raise MalformedSettingError(f"{name} must be a string in quotes, not {raw!r}")
    if any(ord(c) < 32 for c in raw):
        raise MalformedSettingError(f"{name} holds a control character")
    if kind is str:
        return raw
    if raw:
        return home / Path(raw)
    if kind is Path:
        raise MalformedSettingError(f"{name} must name a file")
    return None


def _database(database: DatabaseSettings, home: Path) -> DatabaseSettings:
    scheme, separator, path = database.url.partition(":///")
    if not scheme.startswith("sqlite"):
        return database
    if not separator or not path:
        raise MalformedSettingError("database.url: an SQLite URL needs a file: sqlite:///state/control.db")
    return DatabaseSettings(url=f"{scheme}:///{home / path}")


def _check(settings: Settings) -> None:
    edge, media, web = settings.edge, settings.rtpengine, settings.web
    if not edge.domain or any(c in edge.domain for c in " !;@<>\"'/\\"):
        raise MalformedSettingError(f"edge.domain must be a host name, not {edge.domain!r}")
    _check_address("edge.address", edge.address)
    _check_address("rtpengine.control", media.control)
    if not _check_address("web.address", web.address).is_loopback:
        raise MalformedSettingError(
            f"web.address {web.address} is not loopback; the pages have no logins yet: use 127.0.0.1"
        )
    for section, group in (
        ("edge", edge),
        ("rtpengine", media),
        ("web", web),
        ("push.apns", settings.push.apns),
    ):
        for f in fields(group) if group is not None else ():
            value = getattr(group, f.name)
            if (f.name.endswith("port") or f.name.startswith("rtp_")) and not 1 <= value <= 65535:
                raise MalformedSettingError(
                    f"{section}.{f.name} must be a port between 1 and 65535, not {value}"
                )
    if media.rtp_min >= media.rtp_max:
        raise MalformedSettingError(
            f"rtpengine.rtp_min {media.rtp_min} must be below rtpengine.rtp_max {media.rtp_max}"
        )
    if not 1 <= edge.workers <= 256:
        raise MalformedSettingError(f"edge.workers must be between 1 and 256, not {edge.workers}")
    for name in ("shared_memory_mb", "private_memory_mb"):
        if not 16 <= getattr(edge, name) <= 65_536:
            raise MalformedSettingError(
                f"edge.{name} must be between 16 and 65536 MB, not {getattr(edge, name)}"
            )
    for f in fields(settings.journal):
        days = getattr(settings.journal, f.name)
        if not 1 <= days <= 36500:
            raise MalformedSettingError(f"journal.{f.name} must be between 1 and 36500 days, not {days}")


def _check_address(name: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise MalformedSettingError(f"{name} must be an IP address, not {value!r}") from None
