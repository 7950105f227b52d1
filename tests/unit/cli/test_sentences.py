"""What a person can mend is said in a sentence that names it, never by a traceback and never in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from control.cli.main import main


def run(home: Path, *arguments: str) -> Result:
    result = CliRunner().invoke(main, [*arguments, "--home", str(home)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


@pytest.mark.parametrize("url", ["nonsense", "nosuch://alice:s3cret@db/x"])
@pytest.mark.parametrize("command", [("user", "list"), ("init",)])
def test_a_database_url_that_is_none_is_named_without_being_shown(
    tmp_path: Path, url: str, command: tuple[str, ...]
) -> None:
    run(tmp_path, "init")
    (tmp_path / "nightbell.toml").write_text(f'[database]\nurl = "{url}"\n')
    result = run(tmp_path, *command)
    assert result.exit_code == 1
    assert "database.url in nightbell.toml" in result.output
    assert "s3cret" not in result.output


def test_a_domain_given_to_an_installation_that_has_one_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    run(tmp_path, "init", "--domain", "example.org")
    result = run(tmp_path, "init", "--domain", "example.net")
    assert "example.org" in result.stderr
    assert "--domain changes nothing" in result.stderr
    assert run(tmp_path, "init", "--domain", "example.org").stderr == ""
    assert run(tmp_path, "init").stderr == ""


def test_a_connection_without_a_host_cannot_be_kept_from_registering_here(tmp_path: Path) -> None:
    run(tmp_path, "init")
    run(tmp_path, "connection", "add", "office", "--inbound", "--user", "line")
    result = run(tmp_path, "connection", "inbound", "office", "--off")
    assert result.exit_code == 1
    assert "connection set office host=" in result.output
    run(tmp_path, "connection", "set", "office", "host=192.0.2.7")
    assert run(tmp_path, "connection", "inbound", "office", "--off").exit_code == 0
