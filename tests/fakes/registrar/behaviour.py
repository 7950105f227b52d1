"""How the registrar treats an account: knobs with the defaults of a decent PBX, and accounts that misbehave by their name."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from tests.fakes.registrar.errors import BehaviourError


@dataclass(frozen=True)
class Behaviour:
    """What happens to a REGISTER of an account. Times are seconds.

    Challenge: ``algorithms`` are offered in this order, each in a header of its own unless ``joined``; ``realm`` ``""`` is the
    registrar's; ``nonce`` is offered as it stands, ``""`` makes a fresh one; ``nonce_uses`` 0 is any number, 1 a one-time nonce;
    ``stale_always`` calls every answer stale; ``password`` ``""`` is ``digest.password(user)``.

    Answer: ``status`` is given after authentication, before it with ``unasked``; ``headers`` are added to every final answer but
    a challenge; ``copies`` of a 200 are sent; ``reset`` cuts the connection (says nothing over UDP) instead of answering any
    ``"request"`` or only those with ``"credentials"``.

    Bindings: ``granted`` 0 is as asked, else never mind what was asked; with ``granted_least`` at random between the two;
    with ``until`` (UNIX time) for as long as it is till then, or up to ``spread`` less, ``granted_least`` at least;
    ``granted_by`` a ``"contact"`` parameter or the ``"header"`` Expires; ``others`` are contacts of somebody else,
    (URI, seconds), bound from the start; ``hide_ours`` leaves the client's contact out of the list;
    ``replace`` drops the oldest contact when there are ``max_contacts`` already, else it is 403.
    """

    auth: bool = True
    algorithms: tuple[str, ...] = ("MD5",)
    joined: bool = False
    proxy: bool = False
    realm: str = ""
    qop: str = "auth"
    nonce: str = ""
    nonce_life: float = 3600.0
    nonce_uses: int = 0
    stale_always: bool = False
    next_nonce: bool = False
    opaque: bool = True
    password: str = ""

    silent: bool = False
    reset: str = ""
    delay: float = 0.0
    trying: bool = False
    copies: int = 1
    status: int = 200
    reason: str = ""
    unasked: bool = False
    headers: tuple[str, ...] = ()

    min_expires: int = 0
    granted: int = 0
    granted_least: int = 0
    until: float = 0.0
    spread: int = 0
    granted_by: str = "contact"
    others: tuple[tuple[str, int], ...] = ()
    hide_ours: bool = False
    max_contacts: int = 10
    replace: bool = False

    def changed(self, knobs: Mapping[str, Any]) -> Behaviour:
        """This behaviour with some knobs turned, as they come from JSON. Raises BehaviourError naming the wrong one."""
        kinds = typing.get_type_hints(Behaviour)
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in knobs.items():
            if name not in kinds:
                raise BehaviourError(f"no knob {name!r}; there are {', '.join(kinds)}")
            values[name] = _fit(name, value, kinds[name])
        made = Behaviour(**values)
        for name, allowed in (
            ("reset", ("", "request", "credentials")),
            ("granted_by", ("contact", "header")),
        ):
            if getattr(made, name) not in allowed:
                raise BehaviourError(f"{name} is one of {allowed}, not {getattr(made, name)!r}")
        return made


def _fit(name: str, value: Any, kind: Any) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, types.GenericAlias):
        if not isinstance(value, list | tuple):
            raise BehaviourError(f"{name} is a list, not {value!r}")
        item = kind.__args__[0]
        if item is str and all(isinstance(x, str) for x in value):
            return tuple(value)
        if item is not str and all(len(x) == 2 for x in value):
            return tuple((str(uri), int(seconds)) for uri, seconds in value)
        raise BehaviourError(f"{name} cannot be {value!r}")
    if type(value) is not kind:
        raise BehaviourError(f"{name} is {kind.__name__}, not {value!r}")
    return value


_OTHER = ("sip:desk@192.0.2.99:5060", 77)

# An account whose name is one of these, or begins with it and a hyphen ("x503ra-17"), is treated so without any order.
BY_NAME: dict[str, Behaviour] = {
    "open": Behaviour(auth=False),
    "sha": Behaviour(algorithms=("SHA-256",)),
    "both": Behaviour(algorithms=("SHA-256", "MD5")),
    "md5first": Behaviour(algorithms=("MD5", "SHA-256")),
    "joined": Behaviour(algorithms=("SHA-256", "MD5"), joined=True),
    "aka": Behaviour(algorithms=("AKAv1-MD5",)),
    "noqop": Behaviour(qop=""),
    "authint": Behaviour(qop="auth,auth-int"),
    "proxy": Behaviour(proxy=True),
    "once": Behaviour(nonce_uses=1),
    "nextnonce": Behaviour(nonce_uses=1, next_nonce=True),
    "stale": Behaviour(stale_always=True),
    "bang": Behaviour(nonce="ab!!cd"),
    "foreignrealm": Behaviour(realm="fishing.example"),
    "wrong": Behaviour(password="not the one you have"),
    "x302": Behaviour(unasked=True, status=302, headers=("Contact: <sip:elsewhere@192.0.2.98:5060>",)),
    "x403": Behaviour(unasked=True, status=403),
    "x403later": Behaviour(status=403),
    "x404": Behaviour(unasked=True, status=404),
    "x423": Behaviour(min_expires=1200),
    "x500": Behaviour(unasked=True, status=500),
    "x500ra": Behaviour(unasked=True, status=500, headers=("Retry-After: 45 (soon)",)),
    "x503": Behaviour(unasked=True, status=503),
    "x503ra": Behaviour(unasked=True, status=503, headers=("Retry-After: 60",)),
    "silent": Behaviour(silent=True),
    "reset": Behaviour(reset="request"),
    "resetlater": Behaviour(reset="credentials"),
    "slow": Behaviour(delay=2.0),
    "twice": Behaviour(copies=2),
    "hidden": Behaviour(hide_ours=True, others=(_OTHER,)),
    "shared": Behaviour(others=(_OTHER,)),
    "shorter": Behaviour(granted=60),
    "longer": Behaviour(granted=7200),
    "byheader": Behaviour(granted=90, granted_by="header"),
    "full": Behaviour(max_contacts=1, others=(_OTHER,)),
    "single": Behaviour(max_contacts=1, others=(_OTHER,), replace=True),
    "routes": Behaviour(headers=("Service-Route: <sip:edge1.pbx.test;lr>, <sip:edge2.pbx.test;lr>",)),
}


def by_name(user: str) -> Behaviour | None:
    """How an account of this name is treated, None when the name says nothing."""
    return BY_NAME.get(user.partition("-")[0])
