"""The documentation site, built strictly, and its first page in a headless Chromium.

Nothing that a page loads is elsewhere: the built files name no other host where a browser would
ask it, and the browser's own log of requests has none. Needs the extra `docs`: `make site`.
"""

import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools import pages

CHROMIUM = shutil.which("chromium") or ""
MKDOCS = importlib.util.find_spec("mkdocs") and importlib.util.find_spec("material")
ELSEWHERE = re.compile(
    r"""(?:<(?:script|img|iframe|source)[^>]*\ssrc=|<link[^>]*\shref=|url\(|@import\s*)["']?https?://\S+"""
)
pytestmark = pytest.mark.skipif(not MKDOCS, reason="mkdocs-material is missing: make site")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    folder = tmp_path_factory.mktemp("site")
    pages.main(folder)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(
        [*build, "--config-file", str(folder / "mkdocs.yml")],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_no_built_file_asks_another_host(site: Path) -> None:
    files = [*site.rglob("*.html"), *site.rglob("*.css"), *site.rglob("*.svg")]
    assert len(files) > 80
    found = {str(path.relative_to(site)): ELSEWHERE.findall(path.read_text()) for path in files}
    own = "http://www.w3.org/"
    assert {name: urls for name, urls in found.items() if [u for u in urls if own not in u]} == {}


def test_the_search_finds_a_recipe_and_a_verb(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())
    places = {entry["location"] for entry in index["docs"]}
    assert {"cookbook/tools/#starship", "commands/#status", "glossary/"} <= places


def test_blocks_are_drawn_as_on_github(site: Path) -> None:
    """A list behind a sentence, a table behind a comment, a picture, a file outside docs/."""
    assert re.search(
        r"<li>\s*<strong>Inputs</strong>", (site / "live-shell/index.html").read_text()
    )
    assert "<td>First prompt lag</td>" in (site / "benchmarks/index.html").read_text()
    assert 'src="benchmarks/first-prompt.svg"' in (site / "index.html").read_text()
    copied = site / "project/examples/jobs.d/updates-waiting.toml/index.html"
    assert "once_per" in copied.read_text()


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address(site: Path) -> Iterator[str]:
    """Where the site is served, on this machine."""
    serve = functools.partial(Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), serve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


def requests_of(url: str, folder: Path) -> set[str]:
    """Open a page in Chromium, which can reach no other host; -> what the page has asked for."""
    log = folder / "net.json"
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--no-proxy-server",
        f"--log-net-log={log}",
        f"--user-data-dir={folder}/profile", "--dump-dom", url,
    ]  # fmt: skip
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, start_new_session=True
    ) as browser:
        try:
            assert b"</html>" in browser.communicate(timeout=200)[0]
        finally:
            if browser.poll() is None:
                os.killpg(browser.pid, signal.SIGKILL)
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    return {
        event["url"]
        for event in events
        if "url" in event and event.get("initiator", OF_BROWSER) != OF_BROWSER
    }


OF_BROWSER = "not an origin"
"""The initiator of what a browser asks by itself, and of the page's own address."""


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
@pytest.mark.parametrize("page", ["", "cookbook/", "architecture/"])
def test_a_page_asks_this_site_alone(page: str, address: str, tmp_path: Path) -> None:
    asked = requests_of(f"{address}/{page}", tmp_path)
    assert any("/assets/javascripts/bundle" in url for url in asked)
    assert [url for url in asked if not url.startswith((f"{address}/", "data:", "blob:"))] == []
