"""The first Route of a request: where it points, and pointing it elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kemi import route
from kemi.route import First


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ("<sip:192.0.2.1:5060;lr>", First("sip:192.0.2.1:5060;transport=udp", "udp")),
        ("<sip:192.0.2.1;lr;nb=a>,<sip:x;lr>", First("sip:192.0.2.1;transport=udp", "udp")),
        ("<sip:192.0.2.1:45213;transport=TCP;lr>", First("sip:192.0.2.1:45213;transport=tcp", "tcp")),
        ("<sip:us@192.0.2.1:1;transport=tls;lr>", First("sip:192.0.2.1:1;transport=tls", "tls")),
        ("<sip:[2001:db8::1]:5061;lr>", First("sip:[2001:db8::1]:5061;transport=udp", "udp")),
        ("", None),
        ("sip:192.0.2.1", None),
        ("<tel:1>", None),
    ],
)
def test_the_first_entry_is_read(routes: str, found: First | None) -> None:
    assert route.first(routes) == found


def test_only_the_address_of_the_first_entry_changes() -> None:
    routes = "<sip:us@192.0.2.1:45213;transport=TCP;lr;nb=a.b>, <sip:192.0.2.2:5060;lr>"
    assert (
        route.moved(routes, "198.51.100.7", 5060)
        == "<sip:us@198.51.100.7:5060;transport=TCP;lr;nb=a.b>, <sip:192.0.2.2:5060;lr>"
    )


@given(st.text(alphabet='<>sip:@;,[]1"', max_size=100))
def test_any_route_can_be_read(routes: str) -> None:
    if route.first(routes) is None:
        assert route.moved(routes, "192.0.2.1", 5060) == routes
