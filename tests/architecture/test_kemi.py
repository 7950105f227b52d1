"""What runs inside Kamailio: the standard library and itself, never waiting, every hook defined."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from kemi import router
from tests.architecture.source import ROOT, called, files, imports, strings

KEMI = [pytest.param(file, id=file.name) for file in files("kemi")]
CONFIGURATION = (ROOT / "kamailio.cfg").read_text(encoding="utf-8")

# Each of these can hold a SIP worker for longer than a message may take.
BLOCKING_MODULES = {
    "asyncio",
    "concurrent",
    "ftplib",
    "http",
    "multiprocessing",
    "poplib",
    "queue",
    "select",
    "selectors",
    "smtplib",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "threading",
    "urllib.request",
    "urllib.robotparser",
    "xmlrpc",
}
# Read at the start, before the first message: the one place that may.
AT_START = {"projection.py": {"sqlite3"}}
BLOCKING_CALLS = {
    "input",
    "os.popen",
    "os.system",
    "socket.create_connection",
    "socket.getaddrinfo",
    "socket.getfqdn",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "time.sleep",
}
# Hooks that Kamailio 5.6 calls by these names when nothing else is configured.
DEFAULT_HOOKS = {"ksr_request_route", "ksr_reply_route", "ksr_onsend_route"}
_HOOK = re.compile(r"\bksr_[a-z_]+\b")


def foreign(text: str) -> set[str]:
    """What the source imports beyond the standard library and kemi; KSR is seen to elsewhere."""
    allowed = sys.stdlib_module_names | {"kemi", "KSR"}
    return {name for name in imports(text) if name.partition(".")[0] not in allowed}


def blocking(text: str) -> set[str]:
    """What the source imports or calls that can wait."""
    imported = {m for name in imports(text) for m in BLOCKING_MODULES if f"{name}.".startswith(f"{m}.")}
    return imported | (BLOCKING_CALLS & set(called(text)))


def hooks(text: str) -> set[str]:
    """The handlers that the source names."""
    return {name for text in strings(text) for name in _HOOK.findall(text)}


@pytest.mark.parametrize("file", KEMI)
def test_kemi_imports_the_standard_library_and_itself(file: Path) -> None:
    assert foreign(file.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("file", KEMI)
def test_a_sip_worker_never_waits(file: Path) -> None:
    assert blocking(file.read_text(encoding="utf-8")) == AT_START.get(file.name, set())


@pytest.mark.parametrize("file", KEMI)
def test_only_the_door_imports_ksr(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ("KSR" in set(imports(text))) == (file.name == "ksr.py")
    assert ("KSR." in re.sub(r"(?m)#.*$", "", text)) == (file.name == "ksr.py")


def test_s12_every_hook_the_configuration_names_is_defined() -> None:
    settings = re.sub(r"(?m)^\s*#(?!!).*$", "", CONFIGURATION)
    named = set(_HOOK.findall(settings))
    assert named
    assert named - set(router.ROUTES) == set()


def test_s12_every_hook_kamailio_calls_by_default_is_defined() -> None:
    assert set(router.ROUTES) >= DEFAULT_HOOKS


@pytest.mark.parametrize("file", KEMI)
def test_s12_every_handler_armed_for_a_transaction_is_defined(file: Path) -> None:
    assert hooks(file.read_text(encoding="utf-8")) - set(router.ROUTES) == set()


def test_s12_every_route_defined_is_used() -> None:
    named = set(_HOOK.findall(CONFIGURATION)) | DEFAULT_HOOKS
    for file in files("kemi"):
        if file.name != "router.py":
            named |= hooks(file.read_text(encoding="utf-8"))
    assert set(router.ROUTES) - named == set()


def test_every_table_and_queue_kemi_uses_is_in_the_configuration() -> None:
    from kemi import registrar, wake, wire

    tables = {
        value for module in (wake, registrar) for name, value in vars(module).items() if "TABLE_" in name
    }
    for file in files("kemi"):
        used = re.findall(r"\bwire\.(TABLE_\w+)", file.read_text(encoding="utf-8"))
        tables |= {getattr(wire, name) for name in used}
    assert len(tables) > 5
    tables -= {wire.TABLE_UPSTREAM}  # a table of projection.db alone
    assert tables - set(re.findall(r'"htable", "htable", "(\w+)=>', CONFIGURATION)) == set()
    assert f"name={registrar.QUEUE};" in CONFIGURATION


def test_no_module_of_kemi_hides_one_of_the_standard_library() -> None:
    """Kamailio puts the script's folder first on the path; main.py takes it off again, and nothing depends on that alone."""
    assert {file.stem for file in files("kemi")} & sys.stdlib_module_names == set()


# ----------------------------------------------------------------------------- these checks would find something


@pytest.mark.parametrize(
    "line", ["import flask", "from flask import x", "import tests.fakes", "def f():\n import yaml"]
)
def test_a_foreign_import_would_be_found(line: str) -> None:
    assert foreign(line)


@pytest.mark.parametrize(
    "line",
    [
        "import http.client",
        "from http import client",
        "import urllib.request",
        "from urllib import request",
        "import sqlite3 as s",
        "time.sleep(1)",
        "def f():\n  return socket.getaddrinfo('x', 1)",
    ],
)
def test_waiting_would_be_found(line: str) -> None:
    assert blocking(line)


@pytest.mark.parametrize(
    "line", ["from urllib.parse import unquote", "import socket", "import time", "import hashlib"]
)
def test_what_does_not_wait_is_allowed(line: str) -> None:
    assert blocking(line) == set()


def test_an_undefined_handler_would_be_found() -> None:
    text = 'def f():\n  """Like ksr_not_this."""\n  ksr.tm_on_branch("ksr_branch_wrong"); ksr.tm_on_reply("ksr_reply_wrong")'
    assert hooks(text) == {"ksr_branch_wrong", "ksr_reply_wrong"}
