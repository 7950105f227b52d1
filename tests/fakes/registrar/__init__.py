"""A PBX's registrar of our own: for scale, and for every way in which a PBX can misbehave.

Every user name is an account whose password is ``password(user)``. What a name says (``behaviour.BY_NAME``) or an order wants is
done; the statistics tell what a PBX's administrator would notice.
"""

from tests.fakes.registrar.behaviour import Behaviour
from tests.fakes.registrar.client import FakeRegistrar
from tests.fakes.registrar.core import Answer, Core
from tests.fakes.registrar.digest import ha1, password
from tests.fakes.registrar.errors import ControlError, FakeRegistrarError

__all__ = [
    "Answer",
    "Behaviour",
    "ControlError",
    "Core",
    "FakeRegistrar",
    "FakeRegistrarError",
    "ha1",
    "password",
]
