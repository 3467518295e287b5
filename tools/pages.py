"""Assembles the documentation site: the pages of docs/, and the files outside that they link to.

    python tools/pages.py FOLDER     # writes FOLDER/docs and FOLDER/mkdocs.yml; for `make site`

The pages are written for GitHub. Here a link out of docs/ leads to a copy in `project/`, a folder
or a file that is no page becomes one, and blocks are set apart with the blank lines that
Python-Markdown needs. docs/README.md is the table of contents; the site has docs/index.md instead.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONTENTS = ROOT / "docs/README.md"
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
BEGINS = re.compile(r"( *)([-*] |\d+\. |\||<!--)")
LANGUAGES = {".toml": "toml", ".zsh": "zsh", ".yml": "yaml", ".py": "python"}

Nav = list[dict[str, object]]


def place(path: Path) -> str:
    """Return where the site has a file or folder of the project, below its folder of pages."""
    if path in (CONTENTS, ROOT / "docs"):
        return "index.md"
    inside = path.is_relative_to(ROOT / "docs")
    name = str(path.relative_to(ROOT / "docs" if inside else ROOT))
    page = name if path.suffix in (".md", ".svg", ".png") else f"{name}.md"
    return page if inside else f"project/{page}"


def linked(target: str, page: Path) -> Path | None:
    """Return the file of the project to which a link of `page` leads, or None."""
    if re.match(r"[a-z]+:", target):
        return None
    return Path(os.path.normpath(page.parent / target))


def with_links(text: str, page: Path) -> str:
    """Return the text of `page` with links that lead to the places of the site."""

    def led(found: re.Match[str]) -> str:
        path = linked(found[1], page)
        if path is None:
            return found[0]
        relative = os.path.relpath(place(path), os.path.dirname(place(page)) or ".")
        return f"]({relative}{found[2] or ''})"

    return LINK.sub(led, text)


def with_blank_lines(text: str) -> str:
    """Return Markdown with a blank line above each list, table and comment that follows a text."""
    lines: list[str] = []
    fenced, block = False, ""
    for line in text.splitlines():
        begins = BEGINS.match(line)
        kind = begins[2].lstrip("0123456789")[0] if begins else ""
        goes_on = block == kind or (block and line.startswith(" "))
        if not fenced and kind and not goes_on and lines and lines[-1].strip():
            lines.append("")
        fenced ^= line.lstrip().startswith("```")
        if not line.strip() or kind:
            block = kind
        lines.append(line)
    return "\n".join(lines) + "\n"


def as_page(path: Path) -> str:
    """Return a file or folder of the project as a page."""
    if path.is_dir():
        names = sorted(one.name for one in path.iterdir() if not one.name.startswith("."))
        title = str(path.relative_to(ROOT))
        return f"# {title}\n\n" + "".join(f"- [{n}]({path.name}/{n})\n" for n in names)
    text = path.read_text()
    if path.suffix == ".md":
        return text
    language = LANGUAGES.get(path.suffix, "")
    return f"# {path.relative_to(ROOT)}\n\n````{language}\n{text}````\n"


def write(folder: Path) -> None:
    """Write all pages that the table of contents leads to, and the pictures."""
    ahead: list[Path | None] = [ROOT / "docs/index.md", *sorted((ROOT / "docs").rglob("*.md"))]
    ahead += [linked(target, CONTENTS) for target, _ in LINK.findall(CONTENTS.read_text())]
    seen: set[Path | None] = {None, CONTENTS}
    while ahead:
        path = ahead.pop()
        if path is None or path in seen:
            continue
        seen.add(path)
        copy = folder / place(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".svg", ".png"):
            shutil.copyfile(path, copy)
            continue
        text = as_page(path)
        base = path.parent / "x" if path.is_dir() else path
        copy.write_text(with_blank_lines(with_links(text, base)))
        ahead += [linked(target, base) for target, _ in LINK.findall(text)]


def nav() -> Nav:
    """Return the site's contents: the sections and links of docs/README.md, in their order."""
    sections: Nav = [{"Home": "index.md"}]
    for part in re.split(r"\n\n(?=\S)", CONTENTS.read_text())[1:]:
        title, _, rest = part.partition("\n")
        pages: list[str] = []
        for path in [linked(target, CONTENTS) for target, _ in LINK.findall(rest)]:
            if path is not None:
                parts = sorted(path.with_suffix("").glob("*.md")) if path.suffix else []
                pages += [place(one) for one in (path, *parts)]
        sections.append({title.rstrip(":"): pages})
    return sections


def main(folder: Path) -> None:
    """Assemble the site below `folder`, made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    write(folder / "docs")
    settings = {
        "INHERIT": os.path.relpath(ROOT / "mkdocs.yml", folder),
        "docs_dir": "docs",
        "site_dir": "html",
        "nav": nav(),
    }
    (folder / "mkdocs.yml").write_text(json.dumps(settings, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
