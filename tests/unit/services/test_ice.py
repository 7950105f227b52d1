"""What a device is told of STUN and TURN."""

from __future__ import annotations

import base64
import hashlib
import hmac

from control.services.ice import TurnServer, ice_servers

SERVER = TurnServer("turn.example.org", 3478, 5349, "hush", lifetime=600)


def test_a_device_gets_stun_and_turn_with_a_credential_that_expires() -> None:
    stun, turn = (server.as_dict() for server in ice_servers(SERVER, "alice-k7f3qd", 1_700_000_000.9))
    assert stun == {"urls": ["stun:turn.example.org:3478"]}
    assert turn["urls"] == [
        "turn:turn.example.org:3478?transport=udp",
        "turn:turn.example.org:3478?transport=tcp",
        "turns:turn.example.org:5349?transport=tcp",
    ]
    assert turn["username"] == "1700000600:alice-k7f3qd"
    mac = hmac.new(b"hush", b"1700000600:alice-k7f3qd", hashlib.sha1).digest()
    assert turn["credential"] == base64.b64encode(mac).decode()


def test_an_ipv6_address_stands_in_brackets() -> None:
    (stun, _) = ice_servers(TurnServer("2001:db8::7", 3478, 5349, "hush"), "x", 0.0)
    assert stun.urls == ("stun:[2001:db8::7]:3478",)


def test_without_a_server_there_is_nothing_to_tell() -> None:
    assert ice_servers(None, "alice-k7f3qd", 0.0) == []


def test_neither_key_nor_credential_is_shown() -> None:
    turn = ice_servers(SERVER, "alice-k7f3qd", 0.0)[1]
    assert "hush" not in repr(SERVER)
    assert turn.credential not in repr(turn)
