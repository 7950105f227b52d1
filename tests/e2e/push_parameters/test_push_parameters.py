"""An app says in its REGISTER how it is woken (RFC 8599): what it is answered, and what a mistake of its maker costs: nothing."""

from __future__ import annotations

from control.domain.push import PushToken
from control.push.providers import vapid_key
from control.services import registrations, tokens
from demo.stack import DemoDevice, Stack
from tests.e2e.registering import registers
from tests.e2e.scene import Scene


def stored(stack: Stack, device: DemoDevice) -> list[PushToken]:
    with stack.store.read() as session:
        return tokens.tokens_of(session, device.id).get(device.id, [])


async def last_logged(stack: Stack, device: DemoDevice, words: str) -> registrations.Registered:
    """The newest line of the register log, once it says this."""

    def row() -> registrations.Registered | None:
        with stack.store.read() as session:
            found = registrations.last(session, device.id, 1)
        return found[0] if found and words in found[0].reason else None

    found: registrations.Registered = await stack.eventually(row, f"the register log says {words}")
    return found


async def test_p9_each_mistake_is_answered_and_explained_and_nothing_is_lost(stack: Stack) -> None:
    bob = await stack.add_device("phone", "bob")
    good = f";pn-provider=apns;pn-param={bob.pn_param};pn-prid=aa11bb22"
    answer = await registers(stack, bob, good, ";+sip.pnsreg")
    caps, _, purr = str(answer.headers["Feature-Caps"]).partition(";+sip.pnspurr=")
    assert (answer.code, caps, len(purr)) == (200, '*;+sip.pns="apns";+sip.pnsreg="121"', 66)
    await stack.eventually(lambda: stored(stack, bob), "the token is stored")
    bindings = stack.bindings(bob.id)

    for parameters, code, phrase, words in (
        (
            ";pn-provider=firebase;pn-param=1;pn-prid=t",
            555,
            "Push Notification Service Not Supported",
            "send fcm",
        ),
        (
            f";pn-provider=apns;pn-param={bob.pn_param};pn-prid=aa%0d%0aX-Evil:%201",
            400,
            "Bad pn-prid",
            "hexadecimal",
        ),
        (";pn-provider=fcm;pn-param=1;pn-prid=" + "t" * 5000, 400, "Contact Too Long", "2048 bytes"),
        (";pn-provider=apns;pn-param=nonsense;pn-prid=aa", 400, "Bad pn-param", "TEAMID"),
    ):
        answer = await registers(stack, bob, parameters)
        assert (answer.code, answer.phrase) == (code, phrase)
        assert words in str(answer.headers["Warning"])
        assert answer.headers.get("X-Evil") is None
        logged = await last_logged(stack, bob, words)
        assert (logged.action, logged.reply) == ("refused", code)

    assert stack.bindings(bob.id) == bindings
    assert [token.token for token in stored(stack, bob)] == ["aa11bb22"]


async def test_a_query_is_told_what_there_is(stack: Stack) -> None:
    bob = await stack.add_device("phone", "bob")
    answer = await registers(stack, bob, ";pn-provider")
    assert answer.code == 200
    assert answer.headers.getlist("Feature-Caps") == [
        '*;+sip.pns="apns"',
        '*;+sip.pns="apns.dev"',
        '*;+sip.pns="fcm"',
        f'*;+sip.pns="webpush";+sip.vapid="{vapid_key(stack.settings.push)}"',
    ]
    answer = await registers(stack, bob, ";pn-provider=fcm;pn-param=12")
    assert (answer.code, answer.headers.getlist("Feature-Caps")) == (200, ['*;+sip.pns="fcm"'])
    await last_logged(stack, bob, "it asks for pushes by fcm and brings no pn-prid")
    assert not stored(stack, bob)


async def test_p7_of_two_phones_with_one_token_the_one_that_brought_it_last_is_woken(scene: Scene) -> None:
    await scene.extension()
    stack = scene.stack
    first = await scene.asleep("Bob's old login", wakes=False)
    second = await stack.add_device("Bob's new login", "bob")
    parameters = f";pn-provider={first.device.pn_provider};pn-param={first.device.pn_param}"
    await registers(stack, second, f"{parameters};pn-prid={first.device.token}", ";expires=30")
    await stack.eventually(lambda: not stored(stack, first.device), "the first phone has lost it")
    assert (await last_logged(stack, first.device, second.id)).action == "token-moved"
    assert [token.token for token in stored(stack, second)] == [first.device.token]
