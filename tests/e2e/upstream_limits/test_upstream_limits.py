"""What a real PBX limits: how many contacts an extension may have, and how long a challenge holds."""

from __future__ import annotations

import pytest

from control.services import registrations
from tests.e2e.pbx_setup import pbx_set
from tests.e2e.pbx_trace import PbxTrace
from tests.e2e.scene import BOB, Scene

# Asterisk's challenges hold for 32 s, and a refresh comes at half of what was granted at the earliest.
BEYOND_THE_NONCE = 66


@pytest.mark.parametrize("rewrites", [False, True])
async def test_r7_the_only_place_at_asterisk_is_taken_over_and_left(scene: Scene, rewrites: bool) -> None:
    pbx = scene.stack.pbx
    with (
        pbx_set(pbx, BOB, "aor", max_contacts=1, remove_existing="no"),
        pbx_set(pbx, BOB, "endpoint", rewrite_contact="yes" if rewrites else "no"),
    ):
        phone = await scene.caller(BOB)
        (desk,) = pbx.contacts(BOB)

        connection = await scene.extension(strategy="single-contact")
        assert desk not in pbx.contacts(BOB), "Asterisk had room for two"

        await scene.stack.remove_connection(connection)
        # Asterisk takes what it rewrites for ours: better an empty place, which the desk phone takes again, than a wrong one.
        left = [] if rewrites else [desk]
        await scene.stack.eventually(lambda: pbx.contacts(BOB) == left, f"what is left is {left}")
        await phone.unregister()


async def test_a_full_extension_of_asterisk_is_named_and_left_alone(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    stack = scene.stack
    with pbx_set(stack.pbx, BOB, "aor", max_contacts=1, remove_existing="no"):
        phone = await scene.caller(BOB)
        (desk,) = stack.pbx.contacts(BOB)

        connection = await stack.add_connection(BOB, "bob")

        assert await stack.eventually(lambda: whys(scene, connection), "the refusal is told") == ["forbidden"]
        assert stack.pbx.contacts(BOB) == [desk]
        await stack.remove_connection(connection)
        assert stack.pbx.contacts(BOB) == [desk], "signing off took the desk phone's place"
        await phone.unregister()


async def test_a_nonce_that_asterisk_let_expire_costs_a_round_trip_and_no_refusal(
    scene: Scene, pbx_trace: PbxTrace
) -> None:
    with pbx_set(scene.stack.pbx, BOB, "aor", maximum_expiration=BEYOND_THE_NONCE):
        connection = await scene.extension()
        await scene.stack.eventually(
            lambda: len(pbx_trace.messages("out", "REGISTER", 200)) == 2, "it is refreshed", BEYOND_THE_NONCE
        )

    refresh = pbx_trace.messages("in", "REGISTER")[2]
    assert refresh.header("Authorization"), "the old nonce was not even tried"
    assert len(pbx_trace.messages("out", "REGISTER", 401)) == 2, "the old nonce was still good"
    assert whys(scene, connection) == [], "it was taken for a refusal"


def whys(scene: Scene, connection: str) -> list[str]:
    """The causes in the register log of a connection, each once."""
    with scene.stack.store.read() as session:
        runs = registrations.of_connection(session, connection)
    return sorted({run.last.why for run in runs if run.last.why})
