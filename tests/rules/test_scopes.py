"""The key of a claim, by scope."""

import pytest

from zdeferd.model import Scope
from zdeferd.rules.scopes import change_key, request_key, scope_key


@pytest.mark.parametrize(
    ("scope", "key"),
    [
        (Scope.SHELL, "shell:n1"),
        (Scope.BOOT, "boot:b1"),
        (Scope.DAY, "day:2026-01-02"),
        (Scope.EVER, "ever"),
    ],
)
def test_the_key(scope: Scope, key: str) -> None:
    assert scope_key(scope, "n1", "b1", "2026-01-02") == key


def test_a_generation() -> None:
    assert change_key(3) == "change:3"


def test_a_run_by_hand() -> None:
    assert request_key("0f") == "run:0f"
