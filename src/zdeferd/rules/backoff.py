"""Computes the wait after a failure: a first wait, doubled each time, up to a longest."""

RETRY_LONGEST_S = 3600.0
"""The longest wait before a job that failed is tried again."""
SPREAD = 0.25
"""By up to this part of it a wait is made longer, so that jobs that failed together part."""


def retry_wait_s(first_s: float, failed: int, run: int) -> float:
    """Return the wait before the next run of a job that has failed `failed` times in a row.

    At least `first_s`, doubled for each further failure; at most an hour. `run`, the number of
    the run that failed, spreads the waits: neighbouring numbers give shares that lie far apart.
    """
    doubled = first_s * 2.0 ** min(failed - 1, 30)
    share = run * 0.6180339887498949 % 1.0
    return min(doubled, RETRY_LONGEST_S / (1 + SPREAD)) * (1 + SPREAD * share)


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
