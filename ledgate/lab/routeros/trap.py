"""What RouterOS answers where it cannot do what it is asked (RouterOS manual, API, !trap). Pure."""

from typing import Final

MISSING: Final = 0
ARGUMENT: Final = 1
INTERRUPTED: Final = 2
FAILURE: Final = 4
API: Final = 5


class Trap(Exception):
    """A refusal, with its message and, where RouterOS sends one, its category."""

    def __init__(self, message: str, category: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.category = category


def no_such_item() -> Trap:
    return Trap("no such item", MISSING)


def no_such_command() -> Trap:
    return Trap("no such command", MISSING)


def unknown_parameter(name: str) -> Trap:
    return Trap(f"unknown parameter {name}", None)


def no_such_value(name: str) -> Trap:
    """A word that is none of those that the argument takes."""
    return Trap(f"input does not match any value of {name}", ARGUMENT)


def invalid_value(name: str) -> Trap:
    """A number, address or time that is none."""
    return Trap(f"invalid value for argument {name}", ARGUMENT)


def failure(why: str) -> Trap:
    return Trap(f"failure: {why}", FAILURE)
