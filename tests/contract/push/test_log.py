"""The log provider: for development, and only when the settings say so."""

from __future__ import annotations

import time
import tomllib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from control.domain.push import Outcome, PushNotice, PushToken
from control.push.dispatcher import Dispatcher
from control.push.providers import configured
from control.settings import parse
from control.settings_table import MalformedSettingError

TOKEN = PushToken("log", "any", "production", "top-secret-token")


async def test_a_push_is_a_line_that_names_the_token_without_giving_it_away() -> None:
    settings = parse(tomllib.loads("[push.log]\ndevelopment = true"), Path("/srv/nightbell"))
    dispatcher = Dispatcher(configured(settings.push))
    with capture_logs() as lines:
        await dispatcher.start()
        verdict = await dispatcher.dispatch(TOKEN, PushNotice("k7f3", "w1", time.time() + 20))
        await dispatcher.close()
    assert (verdict.outcome, verdict.provider_id) == (Outcome.DELIVERED, "w1")
    warning, push = lines
    assert (warning["log_level"], push["purpose"], push["call"]) == ("warning", "call", "k7f3")
    assert push["token"] == TOKEN.fingerprint
    assert "top-secret" not in repr(lines)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[push.log]", "push.log.development is missing"),
        (
            "[push.log]\ndevelopment = false",
            "push.log.development must be true: this provider wakes no phone",
        ),
        ("[push.log]\ndevelopment = 'true'", "push.log.development must be true or false"),
    ],
)
def test_it_is_never_on_by_accident(text: str, why: str) -> None:
    with pytest.raises(MalformedSettingError, match=why):
        parse(tomllib.loads(text), Path("/srv/nightbell"))


async def test_without_its_table_its_tokens_are_served_by_nobody() -> None:
    verdict = await Dispatcher(configured({})).dispatch(TOKEN, PushNotice("c", "w", time.time() + 5))
    assert (verdict.outcome, verdict.reason) == (Outcome.MISCONFIGURED, "provider-not-set-up")
