"""Says how long to wait after a failure: a first wait, doubled each time, up to a longest."""


class Backoff:
    """The waits after failures in a row, in seconds."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self.longest_s = longest_s
        self._first_s = self._next_s = first_s

    def failed(self) -> float:
        """Return the wait that is due now; the next one is twice as long."""
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, self.longest_s)
        return wait_s

    def worked(self) -> None:
        """Make the next wait the first one again."""
        self._next_s = self._first_s
