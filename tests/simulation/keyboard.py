"""When the user last touched a key: what is true, what the ttys say, what can be known.

The daemon sees access times on the wall clock, in steps of 8 s. The truth is kept by the
clock that goes on in suspend and cannot be set. Where the wall clock went forward and no
daemon noticed, a fresh access time looks old, and nobody could tell.
"""

from zdeferd.machine.quiet import TTY_RESOLUTION_S, Clocks

JUMP_S = 0.5


class Keyboard:
    """One user's hands. `Clocks` are the machine's, whole."""

    def __init__(self) -> None:
        self.atimes: list[float] = []
        self._key: Clocks | None = None
        self._looked: Clocks | None = None
        """As the daemon of now last saw the clocks."""
        self._noticed = False
        """It has seen since the last key that the clock was set."""
        self.quiet: dict[float, float] = {}
        """For how long there had been no key, by the instants at which the daemon looked."""

    def touch(self, clocks: Clocks) -> None:
        self._key, self._noticed = clocks, False
        self.atimes = [clocks.real - clocks.real % TTY_RESOLUTION_S]

    def reboot(self) -> None:
        self._key, self.atimes = None, []

    def new_daemon(self, clocks: Clocks) -> None:
        """It knows nothing of what was before."""
        self._looked, self._noticed = clocks, False

    def look(self, clocks: Clocks) -> Clocks:
        """The daemon reads the clocks."""
        if self._looked is not None and abs(_ahead(clocks) - _ahead(self._looked)) > 1.0:
            self._noticed = True
        self._looked = clocks
        return clocks

    def decide(self, clocks: Clocks) -> None:
        """The daemon takes in the facts that it decides by."""
        quiet_s = float("inf")
        if self._key is not None:
            fooled = not self._noticed and _ahead(clocks) > _ahead(self._key) + JUMP_S
            if not fooled:
                quiet_s = clocks.since_boot - self._key.since_boot
        self.quiet[clocks.real] = quiet_s


def _ahead(clocks: Clocks) -> float:
    """By how much the wall clock is ahead of the one that cannot be set."""
    return clocks.real - clocks.since_boot
