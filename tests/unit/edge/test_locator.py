"""Where a PBX is, by RFC 3263, against a real name server on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control.domain.targets import Located, Route
from control.edge import locator as locator_module
from control.edge.errors import HostNotFoundError, NameServerError
from control.edge.locator import Locator
from tests.unit.edge.name_server import NameServer, name_server

PBX = "pbx.example"


@pytest.fixture
async def dns() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


@pytest.fixture
def locator(dns: NameServer, tmp_path: Path) -> Locator:
    return Locator(dns.resolver, tmp_path / "hosts")


def uris(located: Located) -> list[str]:
    hops = sorted(located.hops, key=lambda hop: (hop.priority, -hop.weight, hop.address))
    return [hop.uri.removeprefix("sip:") for hop in hops]


async def test_an_address_needs_no_name_server(locator: Locator, dns: NameServer) -> None:
    found = await locator.locate(Route("192.0.2.7", 0, "tls"))
    assert uris(found.located) == ["192.0.2.7:5061;transport=tls"]
    assert found.located.sources == ("192.0.2.7",)
    assert dns.asked == []


async def test_a_port_that_is_given_says_that_there_is_no_srv_to_look_for(
    locator: Locator, dns: NameServer
) -> None:
    dns.put(f"_sip._udp.{PBX}", "SRV", "0 0 5080 other.example.")
    dns.put(PBX, "A", "192.0.2.7")
    found = await locator.locate(Route(PBX, 5060, "udp"))
    assert uris(found.located) == ["192.0.2.7:5060;transport=udp"]
    assert {kind for _, kind in dns.asked} == {"A", "AAAA"}


async def test_srv_gives_servers_ports_priorities_and_weights(locator: Locator, dns: NameServer) -> None:
    dns.put(
        f"_sip._tcp.{PBX}",
        "SRV",
        "20 0 5070 backup.example.",
        "10 60 5062 a.example.",
        "10 20 5063 b.example.",
    )
    dns.put("a.example", "A", "192.0.2.1")
    dns.put("b.example", "A", "192.0.2.2")
    dns.put("backup.example", "A", "192.0.2.3")
    dns.put(PBX, "A", "192.0.2.9")
    found = await locator.locate(Route(PBX, 0, "tcp"))
    assert uris(found.located) == [
        "192.0.2.1:5062;transport=tcp",
        "192.0.2.2:5063;transport=tcp",
        "192.0.2.3:5070;transport=tcp",
    ]
    assert found.located.sources == ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9")


async def test_without_srv_the_host_itself_is_the_server_ipv4_first(
    locator: Locator, dns: NameServer
) -> None:
    dns.put(PBX, "A", "192.0.2.20", "192.0.2.3")
    dns.put(PBX, "AAAA", "2001:db8::7")
    found = await locator.locate(Route(PBX, 0, "udp"))
    assert uris(found.located) == [
        "192.0.2.3:5060;transport=udp",
        "192.0.2.20:5060;transport=udp",
        "[2001:db8::7]:5060;transport=udp",
    ]


async def test_naptr_chooses_the_transport_when_nobody_else_does(locator: Locator, dns: NameServer) -> None:
    dns.put(
        PBX, "NAPTR",
        f'20 50 "s" "SIP+D2U" "" _sip._udp.{PBX}.',
        f'10 50 "s" "SIPS+D2T" "" _sips._tcp.{PBX}.',
        '5 50 "s" "SIP+D2S" "" _sip._sctp.pbx.example.',
        '1 1 "u" "E2U+sip" "!^.*$!sip:x@y!" .',
    )  # fmt: skip
    dns.put(f"_sips._tcp.{PBX}", "SRV", "0 0 5061 a.example.")
    dns.put(f"_sip._udp.{PBX}", "SRV", "0 0 5060 a.example.")
    dns.put("a.example", "A", "192.0.2.1")
    found = await locator.locate(Route(PBX, 0, "auto"))
    assert uris(found.located) == ["192.0.2.1:5061;transport=tls", "192.0.2.1:5060;transport=udp"]


async def test_without_naptr_the_first_srv_there_is_chooses_and_without_any_it_is_udp(
    locator: Locator, dns: NameServer
) -> None:
    dns.put("a.example", "A", "192.0.2.1")
    dns.put(PBX, "A", "192.0.2.9")
    assert uris((await locator.locate(Route(PBX, 0, "auto"))).located) == ["192.0.2.9:5060;transport=udp"]
    dns.put(f"_sip._tcp.{PBX}", "SRV", "0 0 5066 a.example.")
    assert uris((await locator.locate(Route(PBX, 0, "auto"))).located) == ["192.0.2.1:5066;transport=tcp"]


async def test_an_outbound_proxy_takes_the_requests_and_both_may_call(
    locator: Locator, dns: NameServer
) -> None:
    dns.put("proxy.example", "A", "192.0.2.50")
    dns.put(PBX, "A", "192.0.2.7")
    found = await locator.locate(Route(PBX, 5060, "udp", "sip:proxy.example:5070;transport=tcp"))
    assert uris(found.located) == ["192.0.2.50:5070;transport=tcp"]
    assert found.located.sources == ("192.0.2.50", "192.0.2.7")


async def test_a_domain_behind_a_proxy_need_not_be_a_host(locator: Locator, dns: NameServer) -> None:
    dns.put("proxy.example", "A", "192.0.2.50")
    found = await locator.locate(Route("only-a-domain.example", 0, "udp", "sip:proxy.example"))
    assert uris(found.located) == ["192.0.2.50:5060;transport=udp"]


async def test_an_answer_holds_as_long_as_its_shortest_part(locator: Locator, dns: NameServer) -> None:
    dns.put(PBX, "A", "192.0.2.7")
    dns.ttl = 77
    assert (await locator.locate(Route(PBX, 5060, "udp"))).ttl == 77


@pytest.mark.parametrize("port", [0, 5060])
async def test_a_name_without_an_address_is_not_found(locator: Locator, dns: NameServer, port: int) -> None:
    with pytest.raises(HostNotFoundError, match=PBX):
        await locator.locate(Route(PBX, port, "udp"))


async def test_a_domain_that_offers_no_sip_is_not_found(locator: Locator, dns: NameServer) -> None:
    dns.put(f"_sip._udp.{PBX}", "SRV", "0 0 0 .")
    dns.put(PBX, "A", "192.0.2.7")
    with pytest.raises(HostNotFoundError, match="no SIP service"):
        await locator.locate(Route(PBX, 0, "udp"))


async def test_a_server_that_is_mute_or_broken_is_told_from_a_host_that_is_not_there(
    locator: Locator, dns: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locator_module, "QUERY_S", 0.2)
    for ill in ("mute", "broken"):
        setattr(dns, ill, True)
        with pytest.raises(NameServerError):
            await locator.locate(Route(PBX, 5060, "udp"))
        setattr(dns, ill, False)


async def test_the_hosts_file_comes_first(locator: Locator, dns: NameServer, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("# mine\n192.0.2.99  PBX.example pbx # here\nnonsense x\n")
    dns.put(PBX, "A", "192.0.2.7")
    assert uris((await locator.locate(Route(PBX, 5060, "udp"))).located) == ["192.0.2.99:5060;transport=udp"]
