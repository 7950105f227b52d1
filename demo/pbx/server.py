"""Asterisk in a folder of its own: its configuration written from templates/, its process, and its command line."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from control.host.files import write_private
from control.host.process import Process, Program
from control.host.tree import TREES, Tree
from demo.pbx.sound import write_tone
from demo.ports import RTP_OF_PBX, free_ports

TREE = TREES / "asterisk"
VOICEMAIL_TONE = 620  # Hz, what a caller hears when the call went on to the voicemail's stand-in
HOLD_TONE = 300  # Hz, the music on hold
MILLIWATT_TONE = 1004  # Hz, extension 601
_TEMPLATES = Path(__file__).parent / "templates"
_PEOPLE = {"1001": "Alice", "1002": "Bob", "1003": "Carol", "1004": "Dan", "1005": "Erin", "1006": "Frank"}


@dataclass(frozen=True)
class Account:
    """One extension and its credential."""

    extension: str
    name: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class _Identity:
    """What stays the same each time the PBX of one folder is started."""

    address: str
    sip_port: int
    ami_port: int
    ami_secret: str
    accounts: tuple[Account, ...]


class TestPbx:
    """The PBX of one folder. Ports and passwords are chosen the first time and kept in ``identity.json``."""

    __test__ = False  # not a test, whatever its name suggests to pytest

    def __init__(self, home: Path, address: str = "127.0.0.1", tree: Path = TREE) -> None:
        self.home = home.absolute()
        self._tree = Tree(tree)
        self._identity = _load_identity(self.home / "identity.json", address)

    @property
    def address(self) -> str:
        """Its IP address."""
        return self._identity.address

    @property
    def sip_port(self) -> int:
        """SIP over UDP and TCP."""
        return self._identity.sip_port

    @property
    def accounts(self) -> dict[str, Account]:
        """The accounts, by extension."""
        return {account.extension: account for account in self._identity.accounts}

    @property
    def ami(self) -> tuple[int, str, str]:
        """Port, user and secret of the manager interface."""
        return self._identity.ami_port, "nightbell", self._identity.ami_secret

    @property
    def log(self) -> Path:
        """What Asterisk says: notices, errors, and each step of the dial plan."""
        return self.home / "log" / "messages"

    @property
    def process(self) -> Process:
        """The running program."""
        return Process(
            Program(
                name="asterisk",
                command=self._tree.command("usr/sbin/asterisk", "-f", "-C", str(self._config), "-g"),
                log=self.home / "log" / "console.log",
                pid_file=self.home / "run" / "nightbell.pid",
                ready=self._is_booted,
                within=30.0,
            )
        )

    def start(self) -> bool:
        """Start it unless it runs; True if it did not. Raises HostError."""
        started = self.begin()
        self.process.wait_ready()
        return started

    def begin(self) -> bool:
        """Start it unless it runs, and do not wait; True if it did not. Raises HostError."""
        if not self.process.running:
            self._write_configuration()
        return self.process.begin()

    def stop(self) -> bool:
        """Stop it; True if it ran. Raises StopError."""
        return self.process.stop()

    def cli(self, command: str) -> str:
        """What Asterisk's command line answers, as ``asterisk -rx`` prints it."""
        line = self._tree.command("usr/sbin/asterisk", "-C", str(self._config), "-rx", command)
        return subprocess.run(line, capture_output=True, text=True, timeout=10, check=False).stdout

    def contacts(self, extension: str) -> list[str]:
        """The contact URIs registered for an extension."""
        text = self.cli(f"pjsip show aor {extension}")
        return re.findall(rf"^\s+Contact:\s+{re.escape(extension)}/(\S+)", text, re.MULTILINE)

    def channels(self) -> list[str]:
        """The names of all channels: empty when no call is up."""
        lines = self.cli("core show channels concise").splitlines()
        return [line.split("!")[0] for line in lines if "!" in line]

    def leave_message(self, extension: str, number: int = 0) -> None:
        """Put a voice message into the inbox of an extension's mailbox, as the ``number``-th."""
        inbox = self._inbox(extension)
        inbox.mkdir(parents=True, exist_ok=True)
        write_tone(inbox / f"msg{number:04}.wav", VOICEMAIL_TONE)
        (inbox / f"msg{number:04}.txt").write_text(
            f'[message]\norigmailbox={extension}\ncallerid="Alice" <1001>\nduration=1\n', encoding="ascii"
        )

    def empty_mailbox(self, extension: str) -> None:
        """Throw away the voice messages of an extension."""
        inbox = self._inbox(extension)
        for file in inbox.glob("msg*") if inbox.exists() else ():
            file.unlink()

    def _inbox(self, extension: str) -> Path:
        return self.home / "spool" / "voicemail" / "default" / extension / "INBOX"

    def hang_up_all(self) -> None:
        """End every call."""
        self.cli("channel request hangup all")

    def voicemails(self) -> list[tuple[str, str]]:
        """The calls that went on past Dial since the start: extension and DIALSTATUS, in order."""
        return re.findall(r"nightbell-voicemail (\S+) (\S+)", self._output())

    def keys(self) -> list[str]:
        """The keys that were pressed in each call to 603 since the start, in order."""
        return re.findall(r"nightbell-keys (\S*)", self._output())

    def _output(self) -> str:
        """What the dial plan has said, without the lines in which Asterisk shows a step before it is done."""
        if not self.log.exists():
            return ""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines if "Executing [" not in line)

    @property
    def _config(self) -> Path:
        return self.home / "etc" / "asterisk.conf"

    def _is_booted(self) -> bool:
        # Asterisk says that it has fully booted also when modules are missing.
        return "booted" in self.cli("core waitfullybooted") and "PJSIP" in self.cli("core show channeltypes")

    def _write_configuration(self) -> None:
        for name in ("etc", "lib", "db", "spool", "run", "log", "cache", "moh"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        write_tone(self.home / "moh" / "hold.wav", HOLD_TONE)
        root = self._tree.root
        templates = Environment(  # noqa: S701  no HTML: nothing to escape
            loader=FileSystemLoader(_TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True
        )
        values = {
            **vars(self._identity),
            "home": self.home,
            "modules": next(root.glob("usr/lib/*/asterisk/modules")),
            "data": root / "usr/share/asterisk",
            "rtp_min": RTP_OF_PBX[0],
            "rtp_max": RTP_OF_PBX[1],
            "ring_seconds": 30,
        }
        for template in _TEMPLATES.glob("*.conf"):
            text = templates.get_template(template.name).render(values)
            write_private(self.home / "etc" / template.name, text)


def _load_identity(path: Path, address: str) -> _Identity:
    if path.exists():
        raw = json.loads(path.read_text(encoding="utf-8"))
        return _Identity(**{**raw, "accounts": tuple(Account(**account) for account in raw["accounts"])})
    path.parent.mkdir(parents=True, exist_ok=True)
    sip_port, ami_port = free_ports(address, 2)
    accounts = tuple(Account(number, name, secrets.token_urlsafe(12)) for number, name in _PEOPLE.items())
    identity = _Identity(address, sip_port, ami_port, secrets.token_urlsafe(18), accounts)
    write_private(path, json.dumps(asdict(identity), indent=1) + "\n")
    return identity
