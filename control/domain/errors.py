"""What can be wrong with what a person asked for.

DomainError
├── InvalidFieldError    a value that cannot be kept; ``field`` names it
├── NotFoundError        nothing of that name
├── AlreadyExistsError   the name is taken
├── GoneError            it was there once, and can be used no more
├── NotPossibleError     as things stand it cannot be done
└── AmbiguousError       a short reference that fits more than one
"""

from __future__ import annotations


class DomainError(Exception):
    """A request that cannot be met. The text says what, why and what to do, and is fit to be shown."""

    id = "domain"


class InvalidFieldError(DomainError):
    """A value that cannot be kept: ``field`` is the name of the field as the person wrote it."""

    id = "invalid-field"

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFoundError(DomainError):
    """Nothing of that name."""

    id = "not-found"


class AlreadyExistsError(DomainError):
    """The name is taken."""

    id = "already-exists"


class GoneError(DomainError):
    """It was there once, and can be used no more."""

    id = "gone"


class NotPossibleError(DomainError):
    """What was asked for is right, and as things stand it cannot be done."""

    id = "not-possible"


class AmbiguousError(DomainError):
    """A short reference that fits more than one."""

    id = "ambiguous"
