"""The registry: what a token and a REGISTER may name."""

from __future__ import annotations

import tomllib
from pathlib import Path

from control.push.providers import configured, names, pn_names
from control.settings import parse

TOML = """
[[push.fcm.accounts]]
service_account_file = "account.json"
[push.http.acme]
url = "https://push.acme.example/"
secret_file = "acme.key"
[push.http.other]
url = "https://push.other.example/"
secret_file = "other.key"
[push.log]
development = true
[push.webpush]
contact = "mailto:ops@example.org"
"""


def test_each_pusher_of_the_operators_own_is_a_provider_by_its_name() -> None:
    push = parse(tomllib.loads(TOML), Path("/srv/nightbell")).push
    expected = ["fcm", "webpush", "acme", "other", "log"]
    assert [provider.name for provider in configured(push)] == names(push) == pn_names(push) == expected
