"""A Kamailio in memory: as much of its KEMI interface as ``kemi.ksr`` uses, with the behaviour behind it.

It reads real SIP text, keeps transactions, bindings and hash tables, runs the script's handlers as Kamailio would, talks to
itself over its park socket, and keeps what it sent in ``sent``. No socket is opened and no clock but its own is read.
"""

from __future__ import annotations

from tests.fakes.kamailio.core import FakeKamailio, Sent
from tests.fakes.kamailio.door import install
from tests.fakes.kamailio.errors import FakeError, ScriptError
from tests.fakes.kamailio.sip import Message

__all__ = ["FakeError", "FakeKamailio", "Message", "ScriptError", "Sent", "install"]
