"""What the fake says when it, or the script it runs, does what Kamailio would not survive.

FakeError
└── ScriptError
"""

from __future__ import annotations


class FakeError(Exception):
    """The fake was asked for something that it does not model."""

    id = "fake"


class ScriptError(FakeError):
    """The script did what would harm a real Kamailio: a handler returned None, a lock was not released …"""

    id = "script"
