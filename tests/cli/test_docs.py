"""`zdeferctl docs sync`: the block is copied, compared, and never half written."""

from pathlib import Path

import pytest
from support.user import Result, User, call

SOURCE = "# Telemetry\n<!-- BEGIN:SEGMENTS -->\n| a | b |\n\n<!-- END:SEGMENTS -->\ntail\n"
TO = ("<!-- BEGIN:SEGMENTS_SYNC -->", "<!-- END:SEGMENTS_SYNC -->")


@pytest.fixture
def pages(user: User) -> tuple[Path, Path]:
    """A source with a block, and a README with an old copy."""
    source, readme = user.root / "telemetry.md", user.root / "README.md"
    source.write_text(SOURCE)
    readme.write_text(f"before\n{TO[0]}\nold\n{TO[1]}\nafter\n")
    return source, readme


def sync(pages: tuple[Path, Path], *words: str) -> Result:
    source, readme = map(str, pages)
    return call("docs", "sync", "--source", source, "--readme", readme, *words)


def test_the_block_is_copied_once(pages: tuple[Path, Path]) -> None:
    assert sync(pages).out == f"written: {pages[1]}\n"
    text = pages[1].read_text()
    assert text.startswith(f"before\n{TO[0]}\n<!-- Generated")
    assert text.endswith(f"| a | b |\n\n{TO[1]}\nafter\n")
    assert "old" not in text
    before = pages[1].stat()
    assert sync(pages).out == f"in step: {pages[1]}\n"
    assert pages[1].stat() == before


def test_without_markers_it_is_appended_under_a_heading(pages: tuple[Path, Path]) -> None:
    pages[1].write_text("# Mine\n\nwords")
    assert sync(pages).code == 0
    assert pages[1].read_text().startswith(f"# Mine\n\nwords\n\n## Segments\n\n{TO[0]}\n")
    assert sync(pages, "--check").code == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--check",), 3), (("--diff",), 3), (("--dry-run",), 0), (("--check", "--dry-run"), 0)],
)
def test_some_never_write(pages: tuple[Path, Path], words: tuple[str, ...], code: int) -> None:
    before = pages[1].read_bytes()
    assert sync(pages, *words).code == code
    assert pages[1].read_bytes() == before
    sync(pages)
    assert sync(pages, *words).code == 0


def test_a_diff_is_unified(pages: tuple[Path, Path]) -> None:
    out = sync(pages, "--diff").out
    assert out.startswith(f"--- {pages[1]} (now)\n+++ ")
    assert "\n-old\n" in out
    assert "\n+| a | b |\n" in out


def test_dry_run_by_a_variable(pages: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN", "1")
    before = pages[1].read_bytes()
    assert sync(pages).code == 0
    assert pages[1].read_bytes() == before


def test_json(pages: tuple[Path, Path]) -> None:
    document = sync(pages, "--check", "--json").document
    assert (document["differs"], document["written"]) == (True, False)


@pytest.mark.parametrize(
    "text", ["none", "<!-- BEGIN:SEGMENTS -->", "x <!-- END:SEGMENTS -->",
             "<!-- END:SEGMENTS --> <!-- BEGIN:SEGMENTS -->"],
)  # fmt: skip
def test_no_block_in_the_source(pages: tuple[Path, Path], text: str) -> None:
    pages[0].write_text(text)
    before = pages[1].read_bytes()
    assert sync(pages).code == 2
    assert pages[1].read_bytes() == before
    pages[0].write_bytes(b"\xff")
    assert sync(pages).err.endswith(f"no block: cannot read: {pages[0]}: not UTF-8\n")
    pages[0].unlink()
    result = sync(pages)
    assert result.code == 2
    assert result.err.endswith(f"cannot read: {pages[0]}: No such file or directory\n")


def test_a_file_without_an_end_is_refused(pages: tuple[Path, Path]) -> None:
    zero = Path("/dev/zero")
    source, readme = sync((zero, pages[1]), "--check"), sync((pages[0], zero), "--check")
    assert (source.code, readme.code) == (2, 4)
    assert source.err.endswith("no block: cannot read: /dev/zero: more than 8 MiB\n")
    assert readme.err.endswith("cannot read: /dev/zero: more than 8 MiB\n")


@pytest.mark.parametrize("text", [TO[0], TO[1], f"{TO[1]} {TO[0]}"])
def test_one_marker_without_the_other(pages: tuple[Path, Path], text: str) -> None:
    pages[1].write_text(text)
    assert sync(pages).code == 2
    assert pages[1].read_text() == text


def test_a_readme_that_cannot_be_written(pages: tuple[Path, Path]) -> None:
    pages[1].unlink()
    assert sync(pages).code == 4
    pages[1].mkdir()
    assert sync(pages).code == 4


def test_line_ends_of_the_readme_stay(pages: tuple[Path, Path]) -> None:
    pages[1].write_bytes(b"before\r\n")
    sync(pages)
    assert pages[1].read_bytes().count(b"\n") == pages[1].read_bytes().count(b"\r\n")
    assert sync(pages, "--check").code == 0


def test_a_link_stays_one(pages: tuple[Path, Path]) -> None:
    real = pages[1].rename(pages[1].with_name("REAL.md"))
    pages[1].symlink_to(real)
    assert sync(pages).code == 0
    assert pages[1].is_symlink()
    assert "| a | b |" in real.read_text()


@pytest.mark.parametrize("words", [("docs",), ("docs", "print"), ("docs", "sync", "--what")])
def test_usage_errors_exit_with_1(words: tuple[str, ...]) -> None:
    assert call(*words).code == 1
