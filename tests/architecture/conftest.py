"""A Kamailio to import kemi by; it does nothing here."""

from __future__ import annotations

from tests.fakes.kamailio import install

install(None)
