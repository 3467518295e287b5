"""Keeps what conditions depend on, and looks again only where a waiting run needs it.

Power and network are read when a run begins to wait for them, and after each reported change.
The last key is read again where it seems to be long enough ago. The load is read at most once in
15 s, and only while nothing but the load keeps a run from starting. With no run that waits for a
condition nothing is read and nothing is listened to.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from ..conditions import Conditions
from ..model import Run
from ..rules.conditions import AGAIN_S, Senses, needs_load
from .sensors import Sensors


class Watch:
    """The senses as of the last look. `changed` is called when one may differ."""

    def __init__(
        self, sensors: Sensors, quiet_since: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        self._sensors, self._quiet_since, self._changed = sensors, quiet_since, changed
        self._reported: dict[str, bool] = {}
        """Of what is waited for: True where the kernel reports changes."""
        self.senses = Senses()

    def look(self, runs: Iterable[Run], now: float) -> Senses:
        """Return the senses, as far as the conditions of these waiting runs need them at `now`."""
        waiting = [run.when for run in runs if run.when is not None]
        if not waiting and not self._reported:
            return self.senses
        self._attend("power", any(one.power is not None for one in waiting))
        self._attend("online", any(one.online for one in waiting))
        if self._is_due("power", self.senses.power, self.senses.power_again_at, now):
            again_at = self._again_at("power", now)
            power = self._sensors.power()
            self.senses = replace(self.senses, power=power, power_again_at=again_at)
        if self._is_due("online", self.senses.online, self.senses.online_again_at, now):
            again_at = self._again_at("online", now)
            online = self._sensors.online()
            self.senses = replace(self.senses, online=online, online_again_at=again_at)
        self._look_at_keys(waiting, now)
        self._look_at_load(waiting, now)
        return self.senses

    def close(self) -> None:
        """Listen to nothing any more."""
        self.look((), 0.0)

    def _attend(self, name: str, wanted: bool) -> None:
        """Listen to a value while a run waits for it."""
        if wanted and name not in self._reported:
            # Before the first look, so that no change is missed.
            self._reported[name] = self._sensors.listen(name, lambda: self._has_changed(name))
        elif not wanted and name in self._reported:
            del self._reported[name]
            self._sensors.ignore(name)
            self._forget(name)

    def _has_changed(self, name: str) -> None:
        self._forget(name)
        self._changed()

    def _forget(self, name: str) -> None:
        if name == "power":
            self.senses = replace(self.senses, power=None)
        else:
            self.senses = replace(self.senses, online=None)

    def _is_due(self, name: str, found: object, again_at: float | None, now: float) -> bool:
        return name in self._reported and (found is None or _has_come(again_at, now))

    def _again_at(self, name: str, now: float) -> float | None:
        return None if self._reported[name] else now + AGAIN_S

    def _look_at_keys(self, waiting: Sequence[Conditions], now: float) -> None:
        """Read the last key, unless a key that is known keeps all of them waiting."""
        wanted = [one.quiet_s for one in waiting if one.quiet_s is not None]
        since = self.senses.quiet_since
        if wanted and (since is None or since + min(wanted) <= now or since > now + AGAIN_S):
            self.senses = replace(self.senses, quiet_since=self._quiet_since())

    def _look_at_load(self, waiting: Sequence[Conditions], now: float) -> None:
        again_at = self.senses.load_again_at
        if again_at is not None and not _has_come(again_at, now):
            return
        if any(needs_load(one, self.senses, now) for one in waiting):
            load, again_at = self._sensors.load(), now + AGAIN_S
            self.senses = replace(self.senses, load=load, load_again_at=again_at)


def _has_come(again_at: float | None, now: float) -> bool:
    """Return whether to look again; a clock that was set back leaves the instant far ahead."""
    return again_at is not None and not now < again_at <= now + AGAIN_S
