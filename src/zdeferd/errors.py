"""The error tree: what failed, and what to do about it.

An error's text reads `what failed: the value; what to do`; the program that prints it
puts its own name in front.
"""


class ZdeferdError(Exception):
    """A failure that the user is told of.

    `found` says what failed and on which value, `remedy` what to do (empty: nothing).
    """

    def __init__(self, found: str, remedy: str = "") -> None:
        self.found, self.remedy = found, remedy
        super().__init__(f"{found}; {remedy}" if remedy else found)


class ConfigError(ZdeferdError):
    """The configuration is refused; the last good one stays in force."""


class WireError(ZdeferdError):
    """A message is malformed and was dropped."""


class LedgerError(ZdeferdError):
    """The ledger cannot be used."""


class LedgerNewer(LedgerError):
    """The ledger was written by a newer zdeferd."""


class LedgerLocked(LedgerError):
    """Another program holds SQLite's lock on the ledger."""


class WrongTransition(LedgerError):
    """A run was to change in a way that the table of rules/lifecycle.py does not have."""


class UnsafePath(ZdeferdError):
    """A path is not safely ours and was refused."""


class LogUnavailable(ZdeferdError):
    """A telemetry file cannot be written now; its lines wait in the ledger."""


class AlreadyRunning(ZdeferdError):
    """Another zdeferd of this user holds the lock."""


class NoDaemon(ZdeferdError):
    """No daemon answers."""


class RequestRefused(ZdeferdError):
    """The daemon refused the request."""
