"""The error tree. Each error's docstring is its default message.

Every message reads `what failed: the value`, then what to do next; the program
that prints it puts its own name in front.
"""


class ZdeferdError(Exception):
    """Something failed that has no name of its own; please report it."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (self.__doc__ or "").strip())


class ConfigError(ZdeferdError):
    """The configuration is refused; the last good one stays in force."""

    def __init__(self, where: str, found: str, expected: str) -> None:
        self.where, self.found, self.expected = where, found, expected
        super().__init__(f"{where}: found {found}; expected {expected}")


class WireError(ZdeferdError):
    """A message is malformed and was dropped."""


class LedgerError(ZdeferdError):
    """The ledger cannot be used; `zdeferctl doctor` says why."""


class UnsafePath(ZdeferdError):
    """A path is not safely ours and was refused."""


class LogUnavailable(ZdeferdError):
    """A telemetry file cannot be written now; its lines wait in the ledger."""


class AlreadyRunning(ZdeferdError):
    """Another zdeferd of this user holds the lock; `zdeferctl status` shows it."""


class NoDaemon(ZdeferdError):
    """No daemon answers; start one with `zdeferctl start`."""


class RequestRefused(ZdeferdError):
    """The daemon refused the request."""
