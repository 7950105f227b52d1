"""The whole system on loopback in one folder: a PBX, a provider sandbox, and Nightbell between them."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from control import settings as product_settings
from control.domain.connection import ConnectionSpec
from control.domain.errors import NotFoundError
from control.domain.secret import Secret
from control.domain.story import Story
from control.host import readiness, rpc
from control.host.files import write_private
from control.host.installation import Installation
from control.host.process import Process, Program
from control.push.webpush.vapid import public_key
from control.services import connections, journal, people, phone_links
from control.services.installation import initialise
from control.settings import Settings
from control.settings_table import FILE_NAME
from control.store.session import Store
from demo import settings_file
from demo.pbx import TestPbx
from demo.phone import PushParams
from demo.ports import free_ports
from demo.sandbox_client import SandboxClient
from kemi.wire import TABLE_CONNECTION, TABLE_DEVICE, TABLE_LINE, LineDoc

DOMAIN = "nightbell.test"
BUNDLE = "org.nightbell.demo"  # the app on the demo's phones
TOPICS = {"apns": f"{BUNDLE}.voip", "fcm": BUNDLE}
VAPID_KEY = "secrets/vapid.pem"


@dataclass(frozen=True)
class DemoDevice:
    """An app install that Nightbell knows: its credential, and what it says in ``pn-*`` when it registers."""

    id: str
    user: str
    password: str = field(repr=False)
    domain: str
    provider: str
    token: str = field(repr=False)
    pn_provider: str
    pn_param: str

    @property
    def push(self) -> PushParams:
        """What its phone says of push when it registers."""
        return PushParams(self.pn_provider, self.pn_param, self.token)

    @property
    def aor(self) -> str:
        """The address of the person it belongs to."""
        return f"sip:{self.user}@{self.domain}"


class Stack:
    """One such folder, with the media relays of these names; the phone in the page speaks SIP by ``phone_scheme``.

    ``edge`` has settings of that table that are not as usual.

    What runs outlives this object; another one for the same folder finds it again.
    """

    def __init__(
        self,
        home: Path,
        address: str = "127.0.0.1",
        relays: tuple[str, ...] = ("rtpengine",),
        phone_scheme: str = "wss",
        edge: Mapping[str, int | str] | None = None,
    ) -> None:
        self.home = home.absolute()
        self.relays = relays
        self.phone_scheme = phone_scheme
        self._edge = dict(edge or {})
        self.address = address
        self.domain = DOMAIN
        self.pbx = TestPbx(self.home / "pbx", address)
        self._store: Store | None = None

    # ------------------------------------------------------------------------------- starting and stopping

    def start(self) -> Iterator[tuple[str, bool]]:
        """Start what does not run; yields each name once it is ready, and whether it was started.

        Raises HostError, SettingsError, StoreError.
        """
        ports = self._ports()
        pbx_started, sandbox_started = self.pbx.begin(), self.sandbox_process.begin()
        self.pbx.process.wait_ready()
        yield "asterisk", pbx_started
        self.sandbox_process.wait_ready()
        yield "sandbox", sandbox_started
        self._write_settings(ports)
        initialise(self.home, self.settings.database.url)
        yield from self.installation.up()

    def stop(self) -> Iterator[tuple[str, bool]]:
        """Stop everything; yields each name once it is gone, and whether it ran. Raises StopError."""
        self.close()
        if (self.home / FILE_NAME).exists():
            yield from self.installation.down()
        if (self.home / "ports.json").exists():
            yield "sandbox", self.sandbox_process.stop()
        yield "asterisk", self.pbx.stop()

    def close(self) -> None:
        """Let go of the database; what runs goes on running."""
        if self._store is not None:
            self._store.close()
            self._store = None

    @property
    def processes(self) -> tuple[Process, ...]:
        """Everything that runs, in the order of starting."""
        return (self.pbx.process, self.sandbox_process, *self.installation.processes)

    @property
    def settings(self) -> Settings:
        """Nightbell's settings, as the programs read them."""
        return product_settings.load(self.home)

    @property
    def installation(self) -> Installation:
        """Nightbell's programs."""
        return Installation(self.settings)

    @property
    def kamailio(self) -> Process:
        """The SIP edge."""
        return self.installation.kamailio

    @property
    def edge(self) -> Process:
        """The edge agent."""
        return self.installation.edge

    @property
    def rtpengine(self) -> Process:
        """The media relay, the first one if there are two."""
        return self.installation.relays[0]

    @property
    def sandbox_process(self) -> Process:
        """The provider sandbox."""
        ports, folder = self._ports(), self.home / "sandbox"
        command = (
            *(str(Path(sys.executable).with_name("nightbell")), "sandbox", "--directory", str(folder)),
            *("--apns-port", str(ports["apns"]), "--fcm-port", str(ports["fcm"])),
            *("--webpush-port", str(ports["webpush"])),
            *("--control-port", str(ports["control"]), "--address", self.address),
        )
        return Process(
            Program(
                name="sandbox",
                command=command,
                log=self.home / "log" / "sandbox.log",
                pid_file=self.home / "run" / "sandbox.pid",
                ready=lambda: readiness.web(self.address, ports["control"]),
            )
        )

    # ------------------------------------------------------------------------------------- what phones need

    def sip_address(self, transport: str = "udp") -> tuple[str, int]:
        """Where Nightbell listens for a transport: udp, tcp, tls, ws or wss."""
        edge = self.settings.edge
        ports = {"tls": edge.tls_port, "ws": edge.ws_port, "wss": edge.wss_port}
        return self.address, ports.get(transport, edge.sip_port)

    @property
    def pbx_address(self) -> tuple[str, int]:
        """Where the PBX listens, for UDP and TCP."""
        return self.address, self.pbx.sip_port

    @property
    def tls_ca(self) -> Path:
        """The authority that signed Nightbell's certificate."""
        return self.settings.tls_dir / "ca.pem"

    @property
    def sandbox(self) -> SandboxClient:
        """The providers' control."""
        return SandboxClient(f"http://{self.address}:{self._ports()['control']}")

    # --------------------------------------------------------------------------------- people and accounts

    @property
    def store(self) -> Store:
        """The database, for services."""
        if self._store is None:
            self._store = Store.open(self.settings.database.url, self.home)
        return self._store

    async def add_device(
        self, name: str, user: str, provider: str = "apns", media: str = "auto"
    ) -> DemoDevice:
        """A new app install of a person (added if need be), once Kamailio knows it, with a push token of its own.

        ``media`` is what it takes, as of ``nightbell device set``.
        """
        with self.store.write() as session:
            self._ensure_user(session, user)
            device, password = people.add_device(session, user, name, self.domain)
            device_id = device.id
            people.change_device(session, device_id, media=media)
        topic = public_key(self.home / VAPID_KEY) if provider == "webpush" else TOPICS[provider]
        token = self.sandbox.install(provider, topic)
        await self.eventually(lambda: self.table(TABLE_DEVICE, device_id), f"Kamailio knows {device_id}")
        aor = f"sip:{user}@{self.domain}"
        await self.eventually(
            lambda: device_id in (self.table(TABLE_LINE, aor) or ""), f"{aor} has {device_id}"
        )
        pn_provider, pn_param = self._pn(provider)
        return DemoDevice(
            device_id, user, password.reveal(), self.domain, provider, token, pn_provider, pn_param
        )

    async def wait_wakeable(self, device: DemoDevice, within: float = 5.0) -> None:
        """Return once Kamailio knows that this device has brought a push token."""

        await self.eventually(
            lambda: self.device_can_be_woken(device.user, device.id), f"{device.id} can be woken", within
        )

    def device_can_be_woken(self, user: str, device_id: str) -> bool:
        """Whether Kamailio knows that a person's device has a push token."""
        line = self.table(TABLE_LINE, f"sip:{user}@{self.domain}")
        return line is not None and any(d.id == device_id and d.push for d in LineDoc.decode(line).devices)

    async def remove_device(self, device_id: str) -> None:
        """Remove an app install, and wait until Kamailio does not know it any more."""
        with self.store.write() as session:
            people.remove_device(session, device_id)
        await self.eventually(
            lambda: self.table(TABLE_DEVICE, device_id) is None, f"{device_id} is forgotten"
        )

    def link(self, device_id: str) -> str:
        """A one-time link that makes the browser that opens it this device."""
        with self.store.write() as session:
            code = phone_links.create(session, device_id).code
        return f"{self.settings.phone_url}/phone/#{code.reveal()}"

    async def add_connection(self, extension: str, *users: str, **options: Any) -> str:
        """Let Nightbell be an extension of the PBX that rings these people; returns the connection's id.

        ``options`` are ConnectionSpec's: ``wait`` (s), ``early_ringing``, ``expires`` (s), ``transport`` …
        """
        account = self.pbx.accounts[extension]
        with self.store.write() as session:
            for user in users:
                self._ensure_user(session, user)
            spec = ConnectionSpec(
                **{
                    "name": f"extension-{extension}",
                    "host": self.address,
                    "port": self.pbx.sip_port,
                    "user": extension,
                    "password": Secret(account.password),
                    "users": users,
                    **options,
                }
            )
            connection_id = connections.add_connection(session, spec).id
        await self.eventually(
            lambda: self.table(TABLE_CONNECTION, connection_id), f"Kamailio knows {extension}"
        )
        return connection_id

    async def remove_connection(self, connection_id: str) -> None:
        """Remove a connection, and wait until the PBX has no registration of it any more."""
        with self.store.write() as session:
            extension = connections.get_connection(session, connection_id).user
            connections.remove_connection(session, connection_id)
        await self.eventually(
            lambda: not self._at_pbx(extension, connection_id), f"{extension} is unregistered at the PBX"
        )

    async def wait_registered(self, connection_id: str, within: float = 10.0) -> None:
        """Return once the PBX has a registration of this connection."""
        with self.store.read() as session:
            extension = connections.get_connection(session, connection_id).user
        await self.eventually(
            lambda: self._at_pbx(extension, connection_id), f"{extension} is registered at the PBX", within
        )

    # -------------------------------------------------------------------------------------- looking inside

    def rpc(self, method: str, *params: str | int) -> Any:
        """Ask Kamailio by JSON-RPC. Raises RpcError."""
        return rpc.ask(self.settings.rpc_socket, method, *params)

    def table(self, table: str, key: str) -> str | None:
        """The value of a key of one of Kamailio's hash tables; None if there is none."""
        try:
            return str(self.rpc("htable.get", table, key)["item"]["value"])
        except (rpc.RpcError, KeyError, TypeError):
            return None

    def bindings(self, device_id: str) -> list[str]:
        """The contacts a device is registered with at Nightbell: none when it sleeps, one when it is awake."""
        try:
            found = self.rpc("ul.lookup", "location", f"{device_id}@{self.domain}")
        except rpc.RpcError:
            return []
        return [entry["Contact"]["Address"] for entry in found["Contacts"]]

    def story(self, reference: str = "latest") -> Story | None:
        """The journal of a call (its reference, SIP Call-ID, or "latest"); None if there is none yet."""
        with self.store.read() as session:
            try:
                return journal.story(session, reference)
            except NotFoundError:
                return None

    async def story_with(self, *steps: str, reference: str = "latest", within: float = 5.0) -> Story:
        """The journal of a call once it holds all these steps."""

        def complete() -> Story | None:
            story = self.story(reference)
            told = {beat.step.step for beat in story.beats} if story else set()
            return story if set(steps) <= told else None

        found = await self.eventually(complete, f"the journal of {reference} has {', '.join(steps)}", within)
        assert isinstance(found, Story)  # noqa: S101  `eventually` returns what `complete` gave
        return found

    async def eventually(self, condition: Callable[[], Any], what: str, within: float = 10.0) -> Any:
        """Ask until the answer is true, and return it; AssertionError, naming ``what``, after ``within`` s."""
        deadline = time.monotonic() + within
        while True:
            answer = await asyncio.to_thread(condition)
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {within:g} s: {what}; logs are in {self.home / 'log'}")
            await asyncio.sleep(0.02)

    # ---------------------------------------------------------------------------------------------- inside

    def _at_pbx(self, extension: str, connection_id: str) -> bool:
        return any(f"sip:{connection_id}@" in contact for contact in self.pbx.contacts(extension))

    def _ensure_user(self, session: Any, user: str) -> None:
        try:
            people.get_user(session, user)
        except NotFoundError:
            people.add_user(session, user, user.capitalize())

    def _pn(self, provider: str) -> tuple[str, str]:
        facts = json.loads((self.home / "sandbox" / "sandbox.json").read_text(encoding="utf-8"))
        if provider == "webpush":
            return "webpush", public_key(self.home / VAPID_KEY)
        if provider == "fcm":
            return "fcm", str(facts["fcm"]["project_id"])
        return "apns", f"{facts['apns']['team_id']}.{TOPICS['apns']}"

    def _ports(self) -> dict[str, int]:
        """All ports of this folder but the PBX's, each chosen once."""
        path = self.home / "ports.json"
        ports: dict[str, int] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        missing = [name for name in settings_file.PORTS if name not in ports]
        if missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            promised = (self.pbx.sip_port, self.pbx.ami[0], *ports.values())
            ports |= zip(missing, free_ports(self.address, len(missing), promised), strict=True)
            write_private(path, json.dumps(ports, indent=1) + "\n")
        return ports

    def _write_settings(self, ports: dict[str, int]) -> None:
        facts = json.loads((self.home / "sandbox" / "sandbox.json").read_text(encoding="utf-8"))
        edge, phone = {"domain": self.domain, **self._edge}, self.phone_scheme
        text = settings_file.text(
            self.address, ports, facts, relays=self.relays, edge=edge, phone_scheme=phone
        )
        write_private(self.home / FILE_NAME, text)
