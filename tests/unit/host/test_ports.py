"""Ports for the demo's servers."""

from __future__ import annotations

from demo.ports import free_ports


def test_ports_are_different_and_none_is_promised_to_another() -> None:
    promised = range(10000, 19950)
    ports = free_ports("127.0.0.1", 5, promised)
    assert len(set(ports)) == 5
    assert not set(ports) & set(promised)
