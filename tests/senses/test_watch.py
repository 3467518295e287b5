"""The watch reads what a waiting run needs, when it needs it, and nothing else."""

from typing import Any

from support.sensors import PlayedSensors

from zdeferd.conditions import Conditions, Power
from zdeferd.model import Run, Sink, Trigger
from zdeferd.senses.watch import Watch

NOW = 1_700_000_000.0


def waits(**fields: Any) -> Run:
    values: dict[str, Any] = {"trigger": Trigger.POSTPROMPT, "batch": None, "sink": Sink(log="/l")}
    return Run(id=1, job="j", key="ever", claimed_at=NOW, when=Conditions(**fields), **values)


class Bench:
    """A watch over played sensors."""

    def __init__(self, reports: bool = True) -> None:
        self.sensors = PlayedSensors(reports)
        self.key_at = NOW - 100.0
        self.changes = 0
        self.watch = Watch(self.sensors, self._quiet_since, self._changed)

    def _quiet_since(self) -> float:
        self.sensors.looks.append("keys")
        return self.key_at

    def _changed(self) -> None:
        self.changes += 1

    def looks(self, now: float, *runs: Run) -> list[str]:
        """What a look reads."""
        self.sensors.looks.clear()
        self.watch.look(runs, now)
        return list(self.sensors.looks)


def test_nothing_is_read_while_nothing_waits() -> None:
    bench = Bench()
    assert bench.looks(NOW) == []
    assert bench.sensors.listening == {}


def test_power_is_read_once_and_after_each_report() -> None:
    bench, run = Bench(), waits(power=Power.AC)
    assert bench.looks(NOW, run) == ["power"]
    assert bench.looks(NOW + 86400, run) == []
    bench.sensors.becomes("power", Power.BATTERY)
    assert bench.changes == 1
    assert bench.looks(NOW + 86401, run) == ["power"]
    assert bench.watch.senses.power is Power.BATTERY
    assert bench.watch.senses.power_again_at is None


def test_without_reports_it_is_read_again_every_15_s_and_after_a_jump() -> None:
    bench, run = Bench(reports=False), waits(online=True)
    assert bench.looks(NOW, run) == ["online"]
    assert bench.watch.senses.online_again_at == NOW + 15
    assert bench.looks(NOW + 14, run) == []
    assert bench.looks(NOW + 15, run) == ["online"]
    assert bench.looks(NOW - 86400, run) == ["online"]


def test_once_nothing_waits_for_it_nothing_is_listened_to() -> None:
    for reports in (True, False):
        bench = Bench(reports)
        bench.looks(NOW, waits(power=Power.AC, online=True))
        assert bench.sensors.listening.keys() == ({"power", "online"} if reports else set())
        assert bench.looks(NOW + 1) == []
        assert bench.sensors.listening == {}
        assert bench.looks(NOW + 2, waits(power=Power.AC)) == ["power"]


def test_the_load_is_read_while_it_is_all_that_is_missing_and_seldom() -> None:
    bench, run = Bench(), waits(load_below=1.0, power=Power.AC)
    bench.sensors.values |= {"load": 3.0, "power": Power.BATTERY}
    assert bench.looks(NOW, run) == ["power"]
    bench.sensors.becomes("power", Power.AC)
    assert bench.looks(NOW + 1, run) == ["power", "load"]
    assert bench.looks(NOW + 15, run) == []
    assert bench.looks(NOW + 16, run) == ["load"]


def test_keys_are_read_when_they_can_be_long_enough_ago() -> None:
    bench, run = Bench(), waits(quiet_s=300.0)
    assert bench.looks(NOW, run) == ["keys"]
    assert bench.looks(NOW + 199, run) == []
    bench.key_at = NOW + 150
    assert bench.looks(NOW + 200, run) == ["keys"]
    assert bench.watch.senses.quiet_since == NOW + 150
    assert bench.looks(NOW + 449, run) == []
    assert bench.looks(NOW - 86400, run) == ["keys"]  # the clock was set back
