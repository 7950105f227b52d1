"""The command line, end to end on an installation of its own."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from control import settings
from control.cli import main as cli
from control.domain.journal import Step
from control.services import journal
from control.store.session import Store

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a fresh installation; fails the test on a traceback."""
    environment = {**os.environ, "NIGHTBELL_HOME": str(tmp_path / "home")}

    def run(*arguments: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(cli.main, arguments, input=stdin, env=environment)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    assert run("init", "--domain", "example.org").exit_code == 0
    return run


def test_init_twice_keeps_settings_and_keys(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    before = {path: path.read_bytes() for path in [*home.glob("secrets/*"), home / "nightbell.toml"]}
    assert len(before) == 4
    assert run("init").exit_code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert settings.load(home).edge.domain == "example.org"


def test_without_an_installation_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main, ["user", "list", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "nightbell init" in result.output
    assert "Traceback" not in result.output


def test_people_devices_and_connections_are_added_and_listed(run: Run) -> None:
    assert "sip:alice@example.org" in run("user", "add", "alice", "--name", "Alice").output
    account = json.loads(run("device", "add", "Phone", "--user", "alice", "--json").output)
    assert account["username"].startswith("alice-")
    assert account["domain"] == "example.org"
    added = run(
        "connection", "add", "office", "--host", "192.0.2.7", "--user", "1002", "--for", "alice",
        "--password-stdin", stdin="secret\n",
    )  # fmt: skip
    assert "1002@192.0.2.7 rings alice" in added.output
    (user,) = json.loads(run("user", "list", "--json").output)
    assert (user["devices"], user["connections"]) == ([account["username"]], ["office"])
    (connection,) = json.loads(run("connection", "list", "--json").output)
    assert (connection["rings"], connection["state"]) == (["alice"], "Not heard of yet")
    for table in (run("user", "list"), run("device", "list"), run("connection", "list")):
        assert "secret" not in table.output
        assert account["password"] not in table.output
    assert run("device", "remove", account["username"]).exit_code == 0
    assert run("connection", "remove", "office").exit_code == 0
    assert "no devices yet" in run("device", "list").output


def test_a_password_comes_from_a_file_or_the_prompt(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    base = ("connection", "add", "--host", "192.0.2.7", "--user", "1002")
    assert run(*base, "a", "--password-file", str(file)).exit_code == 0
    assert run(*base, "b", stdin="secret\n").exit_code == 0
    refused = run(*base, "c", "--password-file", str(file), "--password-stdin")
    assert refused.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("user", "add", "Alice!"), "user: "),
        (("device", "add", "Phone", "--user", "nobody"), "no user 'nobody'"),
        (("device", "remove", "alice-x"), "no device"),
        (("connection", "add", "x", "--host", "", "--user", "1", "--password-stdin"), "host: "),
        (
            ("connection", "add", "x", "--host", "h", "--port", "0", "--user", "1", "--password-stdin"),
            "port: ",
        ),
        (("connection", "remove", "x"), "no connection"),
        (("journal", "show", "latest"), "no call yet"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(run: Run, arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments, stdin="secret\n")
    assert result.exit_code == 1
    assert words in result.output
    assert len(result.output.strip().splitlines()) == 1


def test_u2_the_journal_is_shown_with_milliseconds(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    store = Store.open(settings.load(home).database.url, home)
    with store.write() as session:
        steps = [
            Step("k3f9a2", 1000.0, "invite-in", direction="in", caller="1001", sip_call_id="abc@pbx"),
            Step("k3f9a2", 1000.0123, "push-sent", "alice-k7f3qd", "apns"),
        ]
        journal.record(session, steps)
    store.close()
    for reference in ("latest", "k3", "abc@pbx"):
        output = run("journal", "show", reference).output
        assert "The PBX rang" in output
        assert "+12 ms" in output
    assert json.loads(run("journal", "show", "latest", "--json").output)["steps"][1]["gap_ms"] == 12.3
    assert "k3f9a2" in run("journal", "list").output


def test_a_plugin_that_does_not_load_spoils_no_other_command(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "control.nowhere:command", cli.PLUGIN_GROUP)
    monkeypatch.setattr(cli, "_plugins", lambda: {"broken": broken})
    assert "does not load" in CliRunner().invoke(cli.main, ["--help"]).output
    result = CliRunner().invoke(cli.main, ["broken", "--anything"])
    assert result.exit_code == 1
    assert "control.nowhere" in result.output
