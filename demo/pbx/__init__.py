"""A real Asterisk 22 on loopback, for the demo, the tests, and whoever wants to see how a PBX is set up."""

from demo.pbx.server import Account, TestPbx

__all__ = ["Account", "TestPbx"]
