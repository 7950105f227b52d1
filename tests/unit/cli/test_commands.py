"""The command line, end to end on an installation of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from control import settings
from control.cli import main as cli
from control.domain.journal import Step
from control.domain.push import PushToken
from control.domain.targets import Route
from control.domain.wakes import DeviceWake, WaitPolicy
from control.edge.errors import HostNotFoundError
from control.edge.locator import Found, Locator
from control.services import heartbeat, journal, registrations, tokens, upstream, wakes
from control.services.registrations import Registered
from control.services.upstream import Upstream
from control.store.seal import Seal
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
    assert len(before) == 5
    assert run("init").exit_code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert settings.load(home).edge.domain == "example.org"


def test_without_an_installation_one_sentence_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.main, ["user", "list", "--home", str(tmp_path)])
    assert result.exit_code == 1
    assert "nightbell init" in result.output
    assert "Traceback" not in result.output


def test_p4_status_names_a_push_provider_that_does_not_answer_as_long_as_the_edge_agent_says_so(
    run: Run, tmp_path: Path
) -> None:
    assert "does not answer" not in run("status").output
    home = tmp_path / "home"
    store = Store.open(settings.load(home).database.url, home)
    push = {"apns": {"silent": ["apns"], "under_way": 7}, "fcm": {"silent": [], "under_way": 0}}
    for age, lines in ((1.0, 1), (3600.0, 0)):
        with store.write() as session:
            heartbeat.beat(session, heartbeat.EDGE, time.time() - age, {"push": push})
        output = run("status").output
        assert (
            output.count("push       apns does not answer (apns); it is asked once a second, 7 pushes wait")
            == lines
        )
        assert "fcm" not in output
    store.close()


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


def test_u3_a_link_for_a_device_is_an_address_and_a_picture_without_a_password(run: Run) -> None:
    run("user", "add", "alice")
    account = json.loads(run("device", "add", "Browser", "--user", "alice", "--json").output)
    shown = run("device", "link", "Browser")
    assert shown.exit_code == 0
    assert re.match(r"http://127\.0\.0\.1:8080/phone/#[\w-]{32}\n", shown.output)
    assert "\N{FULL BLOCK}" in shown.output
    assert account["username"] in shown.output
    assert account["password"] not in shown.output
    told = json.loads(run("device", "link", account["username"], "--minutes", "5", "--json").output)
    assert (told["device"], told["url"][:28]) == (account["username"], "http://127.0.0.1:8080/phone/")
    assert run("device", "link", "Browser", "--minutes", "0").exit_code == 1
    assert "no device" in run("device", "link", "nobody").output


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


def test_the_journal_of_an_ended_call_is_followed_to_its_end(run: Run, tmp_path: Path) -> None:
    steps = [
        Step("k3f9a2", 1000.0, "invite-in", direction="in", caller="1001", aor="sip:alice@example.org"),
        Step("k3f9a2", 1001.0, "cancelled", code=487),
    ]
    with writing(tmp_path) as session:
        journal.record(session, steps)
    lines = run("journal", "show", "k3f", "--follow").output.splitlines()
    assert lines[0].startswith("1001 → alice")
    assert "The PBX rang" in lines[1]
    assert lines[-1] == "The caller gave up before anybody answered."
    followed = run("journal", "show", "k3f", "--follow", "--json").output.splitlines()
    assert [json.loads(line)["step"] for line in followed] == ["invite-in", "cancelled"]


def test_whoever_follows_the_journal_sees_calls_begin_and_end(run: Run, tmp_path: Path) -> None:
    nightbell = str(Path(sys.executable).with_name("nightbell"))
    # Whoever runs the tests in the background has it ignore Ctrl-C.
    command = ["env", "--default-signal=INT", nightbell, "journal", "list", "--follow", "--json"]
    command += ["--home", str(tmp_path / "home")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        for step, outcome in (("invite-in", ""), ("answered", "answered")):
            with writing(tmp_path) as session:
                journal.record(session, [Step("k3f9a2", 1000.0, step, direction="in")])
            head = json.loads(following.stdout.readline())
            assert (head["call"], head["outcome"]) == ("k3f9a2", outcome)
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0


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


# ------------------------------------------------------------------------- registrations, alarms and keys


@pytest.fixture
def office(run: Run) -> str:
    """A connection called office, for Alice; its id."""
    assert run("user", "add", "alice").exit_code == 0
    added = run(
        "connection", "add", "office", "--host", "192.0.2.7", "--user", "1002", "--for", "alice",
        "--password-stdin", stdin="secret\n",
    )  # fmt: skip
    assert added.exit_code == 0
    return added.output.split("id ")[1].strip()


def listed(run: Run) -> dict[str, Any]:
    (connection,) = json.loads(run("connection", "list", "--json").output)
    return cast("dict[str, Any]", connection)


@contextmanager
def writing(tmp_path: Path) -> Iterator[Session]:
    home = tmp_path / "home"
    store = Store.open(settings.load(home).database.url, home)
    with store.write() as session:
        yield session
    store.close()


def test_r2_a_connection_is_tried_now_and_one_that_cannot_be_says_why(run: Run, office: str) -> None:
    assert "office is tried now" in run("connection", "retry", "office").output
    run("connection", "disable", "office")
    refused = run("connection", "retry", "office")
    assert (refused.exit_code, "nightbell connection enable office" in refused.output) == (1, True)


def test_u1_a_connection_is_disabled_and_enabled_in_words(run: Run, office: str) -> None:
    assert run("connection", "disable", "office").output == "disabled office\n"
    assert listed(run)["state"] == "Disabled"
    assert "already" in run("connection", "disable", "office").output
    assert run("connection", "enable", "office").output == "enabled office\n"
    assert listed(run)["state"] == "Not heard of yet"


def test_values_are_set_and_what_is_wrong_with_one_is_said(run: Run, office: str) -> None:
    assert run("connection", "set", "office", "expires=900", "early-ringing=no", "name=home").exit_code == 0
    assert run("connection", "set", "home", "--password-stdin", stdin="another\n").exit_code == 0
    assert listed(run)["name"] == "home"
    for words, field in (("port=0", "port"), ("expires=0", "expires"), ("host=", "host"), ("x=1", "x")):
        refused = run("connection", "set", "home", words)
        assert refused.exit_code == 1
        assert f"{field}: " in refused.output
    assert run("connection", "set", "home", "password=hunter2").exit_code == 1
    assert run("connection", "set", "home").exit_code == 2


def test_u1_the_list_says_what_to_check(run: Run, office: str, tmp_path: Path) -> None:
    with writing(tmp_path) as session:
        upstream.record(
            session, [Upstream(office, 1000.0, "stopped", 401, "Unauthorized", why="wrong-password")]
        )
    output = run("connection", "list").output
    assert "Stopped (wrong password)" in output
    assert "office: The PBX refused the password of 1002" in output
    assert listed(run)["why"] == "wrong-password"
    alarm = run("alarms").output
    assert "registration-stopped" in alarm
    assert "office does not try to register any more" in alarm
    with writing(tmp_path) as session:
        upstream.record(session, [Upstream(office, 1001.0, "registered", 200, "OK")])
    assert listed(run)["state"] == "Connected"
    assert run("alarms").output == "no alarms\n"
    assert json.loads(run("alarms", "--all", "--json").output)[0]["cleared_at"] == 1001.0


def test_the_register_log_has_both_sides(run: Run, office: str, tmp_path: Path) -> None:
    with writing(tmp_path) as session:
        upstream.record(
            session,
            [Upstream(office, 1000.0 + n, "registered", 200, "OK", 600, rtt_ms=2.0) for n in range(50)]
            + [Upstream(office, 2000.0, "refused", 403, "Forbidden", why="forbidden")],
        )
        registrations.record(session, [Registered(1.0, "alice-x", "added", 200, "OK")])
    newest, quiet = json.loads(run("register-log", "--connection", "office", "--json").output)
    assert (newest["code"], newest["why"], newest["words"]) == (403, "forbidden", "Refused (forbidden)")
    assert (quiet["count"], quiet["rtt_avg_ms"], quiet["expires"]) == (50, 2.0, 600)
    assert "403 Forbidden" in run("register-log", "--connection", office).output
    assert "added" in run("register-log", "--device", "alice-x").output
    assert "nothing is known" in run("register-log", "--device", "bob-x").output
    assert run("register-log").exit_code == 2


def test_a_trunk_is_added_with_numbers(run: Run, office: str) -> None:
    added = run(
        "connection", "add", "trunk", "--host", "192.0.2.8", "--user", "nightbell", "--strategy", "trunk",
        "--number", "+4930123=alice",
    )  # fmt: skip
    assert "rings alice" in added.output, "a trunk is not asked for a password"
    assert run("connection", "number", "trunk", "+4930124", "alice").exit_code == 0
    assert run("connection", "number", "trunk", "+4930123").exit_code == 0
    trunk = next(c for c in json.loads(run("connection", "list", "--json").output) if c["name"] == "trunk")
    assert (trunk["numbers"], trunk["state"]) == ({"+4930124": ["alice"]}, "Trunk, needs no registration")
    assert "number: " in run("connection", "number", "trunk", "a b", "alice").output
    assert (
        "number: "
        in run(
            "connection", "add", "t", "--host", "h", "--user", "x", "--strategy", "trunk", "--number", "123"
        ).output
    )


def test_u3_the_password_of_a_pbx_that_registers_here_is_shown_once(run: Run) -> None:
    added = run("connection", "add", "far", "--user", "x", "--inbound").output
    assert "cannot be shown again" in added
    password = re.search(r"password +(\S+)", added)
    assert password
    connection = listed(run)
    assert connection["state"] == "Waiting for the PBX to register here"
    assert password[1] not in json.dumps(connection)
    assert "password" in run("connection", "inbound", "far").output
    assert "host: " in run("connection", "inbound", "far", "--off").output


def test_a_host_that_does_not_resolve_is_refused_by_name_unless_nobody_looks(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nowhere(self: Locator, route: Route) -> Found:
        raise HostNotFoundError(f"the name {route.host} has no address")

    monkeypatch.setattr(Locator, "locate", nowhere)
    base = ("connection", "add", "office", "--host", "nowhere.invalid", "--user", "1", "--password-stdin")
    refused = run(*base, stdin="secret\n")
    assert refused.exit_code == 1
    assert "host: the name nowhere.invalid has no address" in refused.output
    assert run("connection", "list").output.startswith("no connections")
    assert run(*base, "--no-check", stdin="secret\n").exit_code == 0
    assert "host: " in run("connection", "set", "office", "port=5070").output
    assert run("connection", "set", "office", "port=5070", "--no-check").exit_code == 0


def test_name_servers_that_are_mute_hold_nobody_up_for_long(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def mute(self: Locator, route: Route) -> Found:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    monkeypatch.setattr(Locator, "locate", mute)
    monkeypatch.setattr("control.cli.connection_changes.CHECK_S", 0.05)
    base = ("connection", "add", "office", "--host", "pbx.example", "--user", "1", "--password-stdin")
    assert "no name server answered within 0.05 s" in run(*base, stdin="secret\n").output


def test_keys_are_rotated(run: Run, office: str, tmp_path: Path) -> None:
    file = tmp_path / "home/secrets/seal.key"
    before = file.read_text()
    assert "sealed 1 values with a new key" in run("keys", "rotate").output
    assert file.read_text() != before
    assert run("connection", "set", "office", "wait=9").exit_code == 0
    file.write_text(Seal.new_key() + "\n" + file.read_text())
    assert "interrupted" in run("keys", "rotate").output


def test_u1_a_device_is_shown_with_its_state_its_wakes_and_what_to_do(run: Run, tmp_path: Path) -> None:
    run("user", "add", "bob")
    device = json.loads(run("device", "add", "Phone", "--user", "bob", "--json").output)["username"]
    assert "Unreachable: it is not connected, and has given no push token" in run("device", "list").output
    home = tmp_path / "home"
    store = Store.open(settings.load(home).database.url, home)
    with store.write() as session:
        token = PushToken("apns", "org.example.voip", "production", "secret-token")
        tokens.store_tokens(session, device, [token], 1_800_000_000.0)
        wake = DeviceWake(
            "w1", device, "call-1", 1_800_000_001.0, 1_800_000_021.0, "apns", 1_800_000_001.1,
            1_800_000_003.5, "woke",
        )  # fmt: skip
        wakes.record(session, [wake], WaitPolicy())
    store.close()

    shown = run("device", "show", device).output
    assert "its push token is for apns, which is not set up here" in shown
    assert "Next: Add its table" in shown
    assert "Of 1 wakes half took 2.50 s or less" in shown
    assert "woke  2.50 s  apns" in shown
    assert token.fingerprint in shown
    as_json = json.loads(run("device", "show", device, "--json").output)
    assert (as_json["state"], as_json["cause"]) == ("unreachable", "no-provider")
    assert as_json["wake_times"] == {"count": 1, "p50_s": 2.5, "p95_s": 2.5}
    (listed,) = json.loads(run("device", "list", "--json").output)
    assert listed["advice"]
    assert "secret-token" not in shown + json.dumps(as_json)
    assert "there is no device" in run("device", "show", "nobody-1").output


def test_a_persons_fallback_is_set_shown_and_forgotten_with_what_it_led_to(run: Run) -> None:
    run("user", "add", "alice")
    run("user", "add", "bob")
    device = json.loads(run("device", "add", "Phone", "--user", "bob", "--json").output)["username"]
    done = run("user", "set", "alice", "--fallback", f"device:{device}")
    assert done.output == f"changed alice: fallback device:{device}\n"
    assert f"device:{device}" in run("user", "list").output
    back = run("user", "set", "bob", "--fallback", "number:110")
    assert back.exit_code == 1
    assert "bob has no connection" in back.output
    assert "alice has no fallback any more" in run("device", "remove", device).output
    assert json.loads(run("user", "list", "--json").output)[0]["fallback"] == "none"


def test_a_test_call_that_nobody_takes_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control.domain.wake_test.TAKEN_WITHIN_S", 0.3)
    run("user", "add", "bob")
    device = json.loads(run("device", "add", "Phone", "--user", "bob", "--json").output)["username"]
    shown = run("device", "wake", device)
    assert shown.exit_code == 1
    assert "it is not connected, and has given no push token. Open the app once" in shown.output
    home = tmp_path / "home"
    (home / "nightbell.toml").write_text('[edge]\ndomain = "example.org"\n[push.log]\ndevelopment = true\n')
    store = Store.open(settings.load(home).database.url, home)
    with store.write() as session:
        tokens.store_tokens(session, device, [PushToken("log", "app", "production", "aa11")])
    store.close()
    shown = run("device", "wake", device)
    assert shown.exit_code == 1
    assert "The edge agent did not take the test in hand" in shown.output
    assert "there is no device" in run("device", "wake", "nobody-1").output
