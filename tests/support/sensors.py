"""Sensors whose values are the test's."""

from collections.abc import Callable

from zdeferd.conditions import Power


class PlayedSensors:
    """A machine's power, network and load, as the test says; counts the looks at them."""

    def __init__(self, reports: bool = True) -> None:
        self.values: dict[str, object] = {"power": Power.AC, "online": True, "load": 0.0}
        self.looks: list[str] = []
        self.listening: dict[str, Callable[[], None]] = {}
        self._reports = reports

    def power(self) -> Power:
        self.looks.append("power")
        return Power(str(self.values["power"]))

    def online(self) -> bool:
        self.looks.append("online")
        return bool(self.values["online"])

    def load(self) -> float:
        self.looks.append("load")
        return float(str(self.values["load"]))

    def listen(self, name: str, changed: Callable[[], None]) -> bool:
        if self._reports:
            self.listening[name] = changed
        return self._reports

    def ignore(self, name: str) -> None:
        self.listening.pop(name, None)

    def becomes(self, name: str, value: object) -> None:
        """The value changes, and the kernel reports it to who listens."""
        self.values[name] = value
        if name in self.listening:
            self.listening[name]()
