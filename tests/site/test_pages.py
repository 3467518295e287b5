"""What tools/pages.py makes of a page, and of the table of contents."""

import pytest

from tools import pages

ROOT = pages.ROOT


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("a:\n- b\n- c\nd", "a:\n\n- b\n- c\nd\n"),
        ("a\n| b |\n| - |\n| c |\n<!-- d -->", "a\n\n| b |\n| - |\n| c |\n\n<!-- d -->\n"),
        ("1. a\n   b\n2. c", "1. a\n   b\n2. c\n"),
        ("a\n```\nb\n- c\n```\n", "a\n```\nb\n- c\n```\n"),
        ("- a\n\nb:\n- c", "- a\n\nb:\n\n- c\n"),
    ],
)
def test_blocks_are_set_apart(given: str, made: str) -> None:
    assert pages.with_blank_lines(given) == made


@pytest.mark.parametrize(
    ("page", "link", "led"),
    [
        ("docs/a.md", "b.md#c", "b.md#c"),
        ("docs/a.md", "README.md", "index.md"),
        ("docs/cookbook/a.md", "../b.md", "../b.md"),
        ("docs/a.md", "../CONTRIBUTING.md#tests", "project/CONTRIBUTING.md#tests"),
        ("docs/cookbook/a.md", "../../examples/jobs.d", "../project/examples/jobs.d.md"),
        ("docs/a.md", "../bench/x.zsh", "project/bench/x.zsh.md"),
        ("bench/results/latest.md", "../../docs/benchmarks/a.svg", "../../../benchmarks/a.svg"),
        ("docs/a.md", "https://example.org/x", "https://example.org/x"),
    ],
)
def test_links_lead_to_the_place_of_the_site(page: str, link: str, led: str) -> None:
    assert pages.with_links(f"[x]({link})", ROOT / page) == f"[x]({led})"


def test_the_contents_are_those_of_the_readme() -> None:
    home, users, others = pages.nav()
    assert home == {"Home": "index.md"}
    [listed] = users.values()
    assert isinstance(listed, list)
    assert {"cookbook.md", "cookbook/tools.md", "jobs.md", "security.md"} <= set(listed)
    [listed] = others.values()
    assert isinstance(listed, list)
    assert {"architecture.md", "adr.md", "project/CONTRIBUTING.md"} <= set(listed)
