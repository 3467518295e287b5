"""What tests of `zdefer compinit` share: a home with completion functions, a dump, a snapshot."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from support.zsh import PLUGIN, run_zsh

FOLDERS = "sites", "mine"
"""Folders of completion functions, in front of zsh's own."""
SNAPSHOT = r"""
() {
  builtin emulate -L zsh
  local name key
  for name in _comps _services _patcomps _postpatcomps _compautos; do
    for key in "${(@kPo)name}"; do print -r -- $name "$key" "${${(P)name}[$key]}"; done
  done
  for name in _comp_assocs _comp_dumpfile _comp_secure _comp_options _comp_setup compprefuncs \
    comppostfuncs fpath; do
    print -r -- $name "${(Pt)name}" "${(@P)name}"
  done
  for name in "${(@ok)functions:#(*zdefer*|zf::*|zsh-features|snap*)}"; do
    print -r -- function $name "$functions[$name]"
  done
  print -rl -- ${(ok)aliases} ${${(ok)parameters}:#*zdefer*}
  zle -lL
  bindkey -L
  bindkey -M viins -L
  print -rl -- ${${(f)"$(zmodload)"}:#zsh/stat}
} >$HOME/snapshot
setopt >>$HOME/snapshot
"""
"""zsh code that writes all that compinit may have changed to ~/snapshot.

compaudit loads zsh/stat, and is not called where there is a dump.
"""


def prepare(home: Path) -> str:
    """Make two folders of completion functions; return the zsh code that puts them into fpath."""
    functions = {
        "sites/_tool": "#compdef tool tool-more=tool\n_message tool\n",
        "sites/_pattern": "#compdef -p 'tool-*'\n_message pattern\n",
        "sites/_widget": "#compdef -k complete-word ^Xw\n_message widget\n",
        "mine/_mine": "#compdef mine\n_message mine\n",
        "mine/_helper": "#autoload -r\n"
        "print -r -- ${options[multibyte]} ${options[extendedglob]}\n",
        "mine/_plain": "print no tag\n",
    }
    for name, text in functions.items():
        path = home / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        path.write_text(text)
    return f"fpath=({' '.join(str(home / name) for name in FOLDERS)} $fpath)\n"


def snapshot(
    code: str, home: Path, env: Mapping[str, str] | None = None, before: str = ""
) -> list[str]:
    """Return what a shell that runs `code` with the plugin has afterwards, line by line."""
    (home / "snapshot").unlink(missing_ok=True)
    done = run_zsh(code + SNAPSHOT, home, env, load=(PLUGIN,), before=before)
    assert (done.returncode, done.stderr) == (0, ""), done
    return (home / "snapshot").read_text(errors="replace").splitlines()


def queued(code: str, home: Path, env: Mapping[str, str] | None = None) -> list[list[str]]:
    """Return the words of each job that `code` leaves in the queue."""
    show = 'for one in "${(@)_zdeferd_queue}"; do print -rN -- "${(@ps:\\0:)one}"; print -N; done'
    done = run_zsh(f"{code} >/dev/null\n{show}", home, env, load=(PLUGIN,))
    assert (done.returncode, done.stderr) == (0, ""), done
    return [job.split("\0") for job in done.stdout.split("\0\0")[:-1]]


def publish(code: str, home: Path, env: Mapping[str, str] | None = None) -> Path:
    """Make the dump that the daemon would make for `code`; return its path.

    Where it is read to the end, `zdefer_loaded` is set besides.
    """
    [words] = queued(code, home, env)
    output = Path(next(_values(words, "output")))
    output.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    made = subprocess.run(
        words[words.index("--") + 1 :],
        cwd=home,
        env=environ,
        capture_output=True,
        check=True,
        timeout=200,
    )
    head, end, rest = made.stdout.rpartition(b"_zdeferd_dumped=1\n")
    assert (end, rest) == (b"_zdeferd_dumped=1\n", b"")
    output.write_bytes(head + b"typeset -g zdefer_loaded=1\n" + end)
    (output.parent / "said").write_bytes(made.stderr)
    compiled = ["zsh", "-fc", 'zcompile -UR "$1"', "zsh", str(output)]
    subprocess.run(compiled, check=True, timeout=200)
    return output


def _values(words: list[str], name: str) -> Iterator[str]:
    return (word.partition("=")[2] for word in words if word.startswith(f"{name}="))
