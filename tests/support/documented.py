"""The keys that a page of docs/ lists, and those that a document has."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"


def documented(page: str, section: str) -> set[str]:
    """The keys in the tables under a heading."""
    text = (DOCS / page).read_text()
    body = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert body, f"docs/{page} has no heading {section}"
    return set(re.findall(r"^\| `([^`]+)` \|", body[1], re.MULTILINE))


def keys(value: Any, names: dict[str, str], at: str = "") -> Iterator[str]:
    """Every key of a document, as the page writes it; `names`: what data is called under a key."""
    if isinstance(value, dict):
        for name, inner in value.items():
            written = names.get(at, str(name))
            yield from keys(inner, names, f"{at}.{written}" if at else written)
    elif isinstance(value, list):
        yield from (key for inner in value or [None] for key in keys(inner, names, f"{at}[]"))
    else:
        yield at
