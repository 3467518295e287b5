"""Compares the messages that docs/faults.md and docs/security.md quote with the program's."""

import re
from pathlib import Path

import pytest

import zdeferd

SOURCE = Path(zdeferd.__file__).parent
DOCS = SOURCE.parents[1] / "docs"
NOT_OURS = {
    *("Too many open files", "Read-only file system"),  # the kernel's
    "database is locked",  # SQLite's
    "abandoned",
}


KIND = re.compile(r"\b(file|folder)\b")
"""One message serves for both."""


def table(page: str, section: str, column: int) -> list[str]:
    """Return the quoted phrases in one column of a section's tables."""
    body = (DOCS / page).read_text().split(f"\n## {section}\n")[1].split("\n## ")[0]
    rows = [line.split(" | ") for line in body.splitlines() if line.startswith("| ")]
    return re.findall(r"`([^`]+)`", " ".join(row[column] for row in rows if len(row) > column))


def said_by_the_program() -> str:
    """Every message, with its pieces joined as Python joins them."""
    text = "\n".join(path.read_text() for path in SOURCE.rglob("*.py"))
    return re.sub(r'"\s*\n\s*f?"', "", text)


@pytest.mark.parametrize(
    ("page", "section", "column"),
    [("faults.md", "What each fault costs", 3), ("security.md", "What is defended", 2)],
)
def test_every_message_is_the_programs_own(page: str, section: str, column: int) -> None:
    phrases = set(table(page, section, column)) - NOT_OURS
    assert len(phrases) > 10
    said = re.sub(r"\{[^{}]*\}", "…", said_by_the_program())
    missing = {
        p for p in phrases if p not in said and re.sub(r"\b(file|folder)\b", "…", p) not in said
    }
    assert missing == set()
