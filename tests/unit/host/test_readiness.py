"""The questions that tell whether a program is at work."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from control.host import readiness, rpc


@contextmanager
def answering(server: socket.socket, answer: Callable[[bytes], bytes]) -> Iterator[None]:
    """Answer one datagram in a thread."""

    def serve() -> None:
        question, address = server.recvfrom(65535)
        server.sendto(answer(question), address)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        thread.join(timeout=5)
        server.close()


def rpc_server(path: Path) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    server.settimeout(5)
    return server


def test_rtpengine_is_ready_when_it_answers_a_ping() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(5)
    port = server.getsockname()[1]
    with answering(server, lambda question: question.split()[0] + b' {"result":"pong"}'):
        assert readiness.ng("127.0.0.1", port)
    assert not readiness.ng("127.0.0.1", port)


def test_a_question_to_kamailio_gives_the_result(tmp_path: Path) -> None:
    asked: list[Any] = []

    def answer(question: bytes) -> bytes:
        asked.append(json.loads(question))
        return json.dumps({"jsonrpc": "2.0", "result": {"item": 7}, "id": 1}).encode()

    with answering(rpc_server(tmp_path / "rpc"), answer):
        assert rpc.ask(tmp_path / "rpc", "htable.get", "device", "a") == {"item": 7}
    assert asked[0]["method"] == "htable.get"
    assert asked[0]["params"] == ["device", "a"]


def test_kamailios_error_is_told_in_its_own_words(tmp_path: Path) -> None:
    error = json.dumps(
        {"jsonrpc": "2.0", "error": {"code": 500, "message": "no such table"}, "id": 1}
    ).encode()
    with (
        answering(rpc_server(tmp_path / "rpc"), lambda _: error),
        pytest.raises(rpc.RpcError, match="no such table"),
    ):
        rpc.ask(tmp_path / "rpc", "htable.get", "x", "a")


@pytest.mark.parametrize("left_over", [False, True])
def test_kamailio_is_not_ready_without_anyone_behind_its_socket(tmp_path: Path, left_over: bool) -> None:
    if left_over:
        rpc_server(tmp_path / "rpc").close()
    assert not readiness.rpc_answers(tmp_path / "rpc")


def test_a_ready_file_of_an_earlier_life_does_not_count(tmp_path: Path) -> None:
    ready, start = tmp_path / "edge.ready", tmp_path / "edge.pid"
    ready.touch()
    start.touch()
    os.utime(ready, (100, 100))
    os.utime(start, (200, 200))
    assert not readiness.written_since(ready, start)
    os.utime(ready, (201, 201))
    assert readiness.written_since(ready, start)


def test_nobody_listening_is_not_ready() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: refused
        port = unused.getsockname()[1]
        assert not readiness.tcp("127.0.0.1", port)
        assert not readiness.web("127.0.0.1", port)
