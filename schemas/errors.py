"""What can go wrong, as a tree.

KithError
├── InvalidEvent    the event goes to the dead letters with its bytes and this reason
├── TransientError  worth a bounded number of retries
├── StateError      the worker must stop; the message says what the operator does next
└── ConfigError     a setting or a command is wrong: exit 2, naming the place
"""

from typing import Literal

Reason = Literal[
    "not_json",
    "invalid",
    "unknown_type",
    "no_identifier",
    "invalid_link",
    "id_conflict",
    "too_large",
    "too_late",
    "failed",
]


class KithError(Exception):
    """Base of every error that Kith raises on purpose."""


class InvalidEvent(KithError):  # noqa: N818  the name is the field's: an event is invalid, not an error
    """An event that cannot be accepted.

    `reason` is one of the dead letter reasons, `detail` says in words which field is wrong and why.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail


class TransientError(KithError):
    """Something outside failed that may work again shortly."""


class StateError(KithError):
    """Stored state contradicts itself; going on would make it worse."""


class ConfigError(KithError):
    """A setting, file or option is wrong. The message names the place (`file:line: field: what`)."""
