"""The fake registrar as a process: over UDP, TCP and TLS, and by order."""

from __future__ import annotations

import datetime
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from control.host.certificates import ensure_certificate
from tests.fakes.registrar import ControlError, FakeRegistrar, password
from tests.unit.fakes.registering import Client, Reply, digest

ADDRESS, SECOND = "127.0.67.1", "127.0.67.2"
_PATIENCE = 10.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    ensure_certificate(folder, "pbx.test", ADDRESS, datetime.datetime.now(datetime.UTC))
    return folder


@pytest.fixture(scope="module")
def process(certificates: Path) -> Iterator[FakeRegistrar]:
    key = certificates / "key.pem"
    with FakeRegistrar(ADDRESS, SECOND, certificate=certificates / "cert.pem", key=key) as registrar:
        yield registrar


@pytest.fixture
def registrar(process: FakeRegistrar) -> FakeRegistrar:
    """The process, without orders and bindings."""
    for order in ("forget_orders", "forget_bindings", "clear"):
        process.ask(order)
    process.ask("ban", after=0)
    return process


def connect(
    registrar: FakeRegistrar, transport: str, certificates: Path, address: str = ADDRESS
) -> socket.socket:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    link = socket.socket(socket.AF_INET, kind)
    link.settimeout(_PATIENCE)
    link.connect((address, registrar.ports[transport]))
    if transport != "tls":
        return link
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    return context.wrap_socket(link, server_hostname="pbx.test")


def ask(link: socket.socket, data: bytes) -> Reply:
    link.sendall(data)
    return Reply.of(link.recv(65535))


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_client_registers(registrar: FakeRegistrar, certificates: Path, transport: str) -> None:
    alice = Client(f"alice{transport}")
    with closing(connect(registrar, transport, certificates)) as link:
        challenged = ask(link, alice.request())
        body = digest(challenged.challenge(), alice.user, password(alice.user))
        assert ask(link, alice.request(body)).code == 200
    seen = registrar.statistics()
    assert (seen["bound"], seen["codes"]) == (1, {"200": 1, "401": 1})
    assert registrar.ask("bindings", user=alice.user).keys() == {f"sip:{alice.user}@192.0.2.7:5060"}


def test_several_pbxs_are_one_process(registrar: FakeRegistrar, certificates: Path) -> None:
    for address in registrar.addresses:
        with closing(connect(registrar, "udp", certificates, address)) as link:
            assert ask(link, Client("open").request()).code == 200


def test_messages_in_pieces_and_in_one_piece_are_the_same_over_a_stream(
    registrar: FakeRegistrar, certificates: Path
) -> None:
    alice = Client("open-alice")
    with closing(connect(registrar, "tcp", certificates)) as link:
        first, second = alice.request(), alice.request()
        link.sendall(b"\r\n\r\n" + first[:100])
        link.sendall(first[100:] + second)
        answers = b""
        while answers.count(b"\r\n\r\n") < 2:
            answers += link.recv(65535)
    assert registrar.statistics()["received"] == 2


def test_a_connection_is_reset_in_the_middle_of_a_transaction(
    registrar: FakeRegistrar, certificates: Path
) -> None:
    registrar.order("alice", reset="request")
    with closing(connect(registrar, "tcp", certificates)) as link:
        link.sendall(Client("alice").request())
        with pytest.raises(ConnectionResetError):
            link.recv(65535)


def test_all_connections_are_reset_by_order(registrar: FakeRegistrar, certificates: Path) -> None:
    with closing(connect(registrar, "tcp", certificates)) as link:
        assert ask(link, Client("open").request()).code == 200
        assert registrar.ask("cut_connections") == 1
        with pytest.raises(ConnectionResetError):
            link.recv(65535)


def test_a_slow_answer_comes_late(registrar: FakeRegistrar, certificates: Path) -> None:
    registrar.order("*", auth=False, delay=0.2)
    with closing(connect(registrar, "udp", certificates)) as link:
        link.sendall(Client("alice").request())
        link.settimeout(0.05)
        with pytest.raises(TimeoutError):
            link.recv(65535)
        link.settimeout(_PATIENCE)
        assert Reply.of(link.recv(65535)).code == 200


def test_an_address_is_banned_and_forgiven_by_order(registrar: FakeRegistrar, certificates: Path) -> None:
    registrar.ask("ban", after=1)
    with closing(connect(registrar, "udp", certificates)) as link:
        assert ask(link, Client("x403").request()).code == 403
        link.sendall(Client("open").request())
        link.settimeout(0.1)
        with pytest.raises(TimeoutError):
            link.recv(65535)
        registrar.ask("ban", after=0)
        link.settimeout(_PATIENCE)
        assert ask(link, Client("open").request()).code == 200


def test_the_kernel_says_when_a_datagram_came(registrar: FakeRegistrar, certificates: Path) -> None:
    with closing(connect(registrar, "udp", certificates)) as link:
        answered = []
        for first in range(0, 300, 50):  # no more at once than a socket on a busy machine has room for
            for number in range(first, first + 50):
                link.sendall(Client(f"open-{number}").request())
            answered += [link.recv(65535) for _ in range(50)]
    seen = registrar.statistics()
    assert len(answered) == seen["received"] == sum(seen["arrivals"].values()) == 300


def test_the_history_is_told(registrar: FakeRegistrar, certificates: Path) -> None:
    with closing(connect(registrar, "udp", certificates)) as link:
        ask(link, Client("alice").request(expires=77))
    (seen,) = registrar.history("alice")
    assert (seen["code"], seen["expires"], seen["credentials"]) == (401, 77, False)


@pytest.mark.parametrize(
    ("do", "arguments"),
    [("dance", {}), ("_core", {}), ("serve", {}), ("order", {"users": "*"}), ("statistics", {"of": "alice"})],
)
def test_an_order_that_cannot_be_followed_is_refused(
    registrar: FakeRegistrar, do: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ControlError, match=do):
        registrar.ask(do, **arguments)
    with pytest.raises(ControlError, match="no knob 'moody'"):
        registrar.order("*", moody=True)


def test_a_port_that_is_taken_is_said(registrar: FakeRegistrar) -> None:
    second = FakeRegistrar(ADDRESS, udp=registrar.ports["udp"])
    with pytest.raises(ControlError, match=r"(?s)did not start.*in use"):
        second.start()
    second.stop()
