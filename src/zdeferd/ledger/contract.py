"""The contract of claims: what decides that a job runs once for its scope.

The store implements it with SQLite. Nothing here assumes that: a claim may as well be
decided by a database that several hosts share.
"""

from typing import Protocol


class Claims(Protocol):
    """The durable rights to run, unique on (job, scope key)."""

    def claim(self, job: str, key: str, run: int, now: float) -> bool:
        """Give `run` the right to run `job` under `key`; False: the key is spent.

        One statement decides. `now` is in seconds since the epoch.
        """

    def set_aside(self, job: str, key: str, run: int, aside: str) -> None:
        """Move the claim of `run` from `key`, which is free then, to the key `aside`."""

    def fingerprint(self, job: str) -> tuple[str, int]:
        """Return fingerprint and generation of the last claim; ("", 0) where there is none."""

    def save_fingerprint(self, job: str, fingerprint: str, generation: int) -> None:
        """Replace what `fingerprint` returns."""

    def prune_claims(self, before: float, boot: str) -> None:
        """Delete claims from before that instant whose key can never come back."""
