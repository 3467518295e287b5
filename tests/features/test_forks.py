"""No process is started on the prompt's path, with what ships, segments and telemetry."""

import re
from pathlib import Path

from features.test_shipped import NAMES, load
from support.terminal import Terminal
from support.zsh import FEATURES

OURS = [name for name in NAMES if name != "completion-aug"]
"""compinit itself, which completion-aug calls, forks once (`bindkey | read`)."""
TWENTY = "".join(
    f"feature_f{n}_init() {{ f{n}=1 }}; feature_f{n}_preload() {{ : }}\n"
    f"feature_registry_add f{n} 2 '' yes misc about guid\n"
    for n in range(20)
)


def test_the_prompt_comes_without_a_fork(home: Path) -> None:
    trace, log = home / "trace", home / "perf.log"
    code = f"source {FEATURES}\n{TWENTY}{load(*OURS)}\nzf::segment::start a; zf::segment::end a\n"
    env = {"PERF_SEGMENT_LOG": str(log), "ZSH_LOG_STRUCTURED": "1", "ZSH_FEATURE_TELEMETRY": "1"}
    argv = ("strace", "-f", "-e", "trace=process", "-o", str(trace), "zsh", "-d", "-i")
    with Terminal(home, code, env, argv) as shell:
        shell.expect("~ [%#]")
        shell.line("cd /")
        shell.expect("/ [%#]")
    assert log.read_text().count("SEGMENT name=feature/") == 20 + len(OURS)
    assert re.findall(r"\b(?:v?fork|clone3?)\(", trace.read_text()) == []
