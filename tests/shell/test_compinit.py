"""`zdefer compinit` leaves the shell that `compinit` leaves, from a dump or without one."""

import os
import subprocess
from pathlib import Path

import pytest
from support.completion import prepare, publish, queued, snapshot
from support.zsh import PLUGIN, run_zsh

PLAIN = "autoload -Uz compinit && compinit"
OURS = "zdefer compinit"
LOADED = '; print -r -- "dumped=$zdefer_loaded" $#_comps'


def both(home: Path, arguments: str = "", before: str = "", after: str = "") -> list[list[str]]:
    """Return the snapshots of compinit with a dump of its own, and of ours with the one made."""
    fpath = prepare(home)
    code = f"{PLAIN} {arguments}\n"
    snapshot(f"{fpath}{before}{code}{after}", home)
    own = snapshot(f"{fpath}{before}{code}{after}", home)
    publish(f"{fpath}{OURS} {arguments}", home)
    mine = f"{fpath}{before}{OURS} {arguments}\n(( $+zdefer_loaded )) || exit 9\n{after}"
    return [own, snapshot(mine, home)]


ARGUMENTS = [
    *("", "-i", "-u", "-C", "-d $HOME/other", "-i -d $HOME/other"),
    *("-u -d $HOME/other -i", "-i -u", "-C -d $HOME/other -i", "-u -C"),
]


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_a_dump_leaves_what_compinit_leaves(arguments: str, home: Path) -> None:
    own, ours = both(home, arguments)
    assert ours == own
    assert any(line.startswith("_comps tool ") for line in ours)


BEFORE = {
    "emacs": "bindkey -e; bindkey ^Xh kill-word\n",
    "vi": "bindkey -v; bindkey ^Xw kill-word\n",
    "completer": "zstyle ':completion:*' completer _expand _complete\n",
    "menu": "zmodload zsh/complist\n",
    "functions": "_mine() { print mine }; _helper() { print helper }\n",
    "options": "setopt sh_word_split ksh_glob no_case_glob null_glob auto_cd\n",
    "bindings": "bindkey '^X' kill-region\n",
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_stands_before_it_makes_no_difference(name: str, home: Path) -> None:
    own, ours = both(home, before=BEFORE[name])
    assert ours == own


def test_without_a_dump_compinit_runs_as_given(home: Path) -> None:
    fpath = prepare(home)
    own = snapshot(f"{fpath}{PLAIN} -d $HOME/other\n", home)
    (home / "other").unlink()
    assert snapshot(f"{fpath}{OURS} -d $HOME/other\n", home) == own
    assert (home / "other").exists()


@pytest.mark.parametrize("option", ["ksh_arrays", "sh_word_split", "no_unset", "err_exit"])
def test_the_options_of_the_shell_stay_and_reach_compinit(option: str, home: Path) -> None:
    own, ours = both(home, before=f"setopt {option}\n", after="_helper >helper\n")
    assert ours == own
    assert (home / "helper").read_text() == "on off\n"


@pytest.mark.parametrize("with_dump", [False, True])
def test_completion_functions_do_not_carry_the_options_of_the_plugin(
    home: Path, with_dump: bool
) -> None:
    fpath = prepare(home)
    if with_dump:
        publish(f"{fpath}{OURS}", home)
    check = 'f() { setopt no_multibyte; _helper }; f; print -r -- "${zdefer_loaded:-0}"'
    done = run_zsh(f"{fpath}{OURS}\n{check}", home, load=(PLUGIN,))
    assert done.stdout.split() == ["off", "off", str(int(with_dump))]


def test_aliases_of_the_names_it_uses_are_not_expanded(home: Path) -> None:
    fpath = prepare(home)
    publish(f"{fpath}{OURS}", home)
    aliases = "alias compinit=false autoload=false builtin=false local=false zdeferd-verb=false\n"
    code = f"{OURS}\n'unalias' -m '*'\n(( $+zdefer_loaded )) || exit 9\n"
    assert snapshot(f"{fpath}{aliases}{code}", home) == snapshot(f"{fpath}{code}", home)


def test_what_compdef_was_told_before_counts(home: Path) -> None:
    fpath = prepare(home)
    publish(f"{fpath}{OURS}", home)
    told = f"{PLAIN} -D; compdef _files tool own; compdef -p _files 'own*'; compdef -d mine\n"
    show = '; print -r -- "$_comps[tool] $_comps[own] $_patcomps[own*] $zdefer_loaded"'
    done = run_zsh(f"{fpath}{told}{OURS}{show}", home, load=(PLUGIN,))
    assert (done.stdout, done.stderr) == ("_files _files _files 1\n", "")


def test_queued_compdefs_are_replayed_as_after_compinit(home: Path) -> None:
    fpath = prepare(home)
    publish(f"{fpath}{OURS}", home)
    queue = 'calls=(); compdef() { calls+=("$*") }; compdef _files queued\n'
    replay = "; for call in $calls; do compdef ${=call}; done; print -r -- $_comps[queued]"
    done = run_zsh(f"{queue}{fpath}{OURS}{replay}", home, load=(PLUGIN,))
    assert (done.stdout, done.stderr) == ("_files\n", "")


def test_a_function_named_compinit_may_call_it(home: Path) -> None:
    """A framework that calls compinit itself, as oh-my-zsh does, uses the dump so."""
    fpath = prepare(home)
    publish(f"{fpath}{OURS} -i -d $HOME/framework", home)
    framework = 'compinit() { zdefer compinit "$@" }\nautoload -U compinit\n'
    code = f"{fpath}{framework}compinit -i -d $HOME/framework\n"
    done = run_zsh(code + LOADED.lstrip("; "), home, load=(PLUGIN,))
    assert done.stdout.startswith("dumped=1 ")
    plain = f"{fpath}{PLAIN} -i -d $HOME/framework\n"
    snapshot(plain, home)
    assert snapshot(code, home) == snapshot(plain, home)


def test_inside_a_function_and_a_sourced_file_it_is_the_same(home: Path) -> None:
    fpath = prepare(home)
    publish(f"{fpath}{OURS}", home)
    (home / "file.zsh").write_text(
        "f() { zdefer compinit; local rc=$?; print -r -- $rc $#_comps }\nf\n"
    )
    done = run_zsh(f"{fpath}source ~/file.zsh; print -r -- $#_comps", home, load=(PLUGIN,))
    assert done.stderr == ""
    inside, after = done.stdout.splitlines()
    assert inside == f"0 {after}"
    assert int(after) > 1000


def test_it_is_an_ordinary_job(home: Path) -> None:
    [words] = queued(f"{prepare(home)}{OURS} -u", home)
    assert words[0] == "add"
    assert words[1].startswith("id=compinit-")
    assert f"watch=fpath:{home}/mine" in words
    assert {"once_per=change", "compile=true", "check=zsh"} <= set(words)


UNCACHED = {
    "relative": ("fpath=(relative $fpath); ", ""),
    "no dump": ("", "-D"),
    "compdir": ("_compdir=; ", ""),
}


@pytest.mark.parametrize("name", UNCACHED)
def test_what_another_shell_cannot_know_is_not_cached(name: str, home: Path) -> None:
    before, arguments = UNCACHED[name]
    code = f"{before}{OURS} {arguments}"
    assert queued(code, home) == []
    done = run_zsh(code + "; print $#_comps", home, load=(PLUGIN,))
    assert int(done.stdout) > 1000
    assert (home / ".zcompdump").exists() == (name != "no dump")


def test_folders_that_are_missing_are_watched(home: Path) -> None:
    code = f"fpath+=($HOME/none); {OURS}"
    [words] = queued(code, home)
    assert f"watch=fpath:{home}/none" in words
    publish(code, home)
    done = run_zsh(code + LOADED, home, load=(PLUGIN,))
    assert done.stdout.startswith("dumped=1 ")


def test_the_default_place_of_the_dump_follows_zdotdir(home: Path) -> None:
    fpath = prepare(home)
    publish(f"{fpath}{OURS}", home)
    show = '; print -r -- "$_comp_dumpfile $zdefer_loaded"'
    done = run_zsh(f"{fpath}ZDOTDIR=/x; {OURS}{show}", home, load=(PLUGIN,))
    assert done.stdout == "/x/.zcompdump 1\n"


# --- a dump that must not be loaded --------------------------------------------


def spoil_mode(dump: Path) -> None:
    dump.chmod(0o666)


def spoil_folder(dump: Path) -> None:
    dump.parent.chmod(0o777)


def spoil_compiled(dump: Path) -> None:
    Path(f"{dump}.zwc").chmod(0o666)


def spoil_link(dump: Path) -> None:
    dump.rename(dump.parent / "elsewhere")
    dump.symlink_to("elsewhere")


def spoil_end(dump: Path) -> None:
    """Cut it as a full disk would."""
    Path(f"{dump}.zwc").unlink()
    os.truncate(dump, dump.stat().st_size // 2)


def spoil_last_line(dump: Path) -> None:
    Path(f"{dump}.zwc").unlink()
    text = dump.read_text()
    dump.write_text(text[: text.index("typeset -g zdefer_loaded")])


def spoil_start(dump: Path) -> None:
    Path(f"{dump}.zwc").unlink()
    dump.write_bytes(b"")


def spoil_fpath(dump: Path) -> None:
    """Make it another fpath's that has got the same number."""
    Path(f"{dump}.zwc").unlink()
    dump.write_text(dump.read_text().replace("/mine", "/nine", 1))


def spoil_version(dump: Path) -> None:
    Path(f"{dump}.zwc").unlink()
    version = "\n5."
    dump.write_text(dump.read_text().replace(version, "\n4.", 1))


SPOILT = [
    *(spoil_mode, spoil_folder, spoil_compiled, spoil_link, spoil_end),
    *(spoil_last_line, spoil_start, spoil_fpath, spoil_version),
]


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
def test_a_dump_that_is_not_ours_or_not_whole_is_not_used(home: Path, spoil: object) -> None:
    fpath = prepare(home)
    dump = publish(f"{fpath}{OURS}", home)
    assert callable(spoil)
    spoil(dump)
    snapshot(f"{fpath}{PLAIN}\n", home)
    own = snapshot(f"{fpath}{PLAIN}\n", home)
    done = run_zsh(f"{fpath}{OURS} 2>/dev/null{LOADED}", home, load=(PLUGIN,))
    assert done.stdout.startswith("dumped= ")
    assert snapshot(f"{fpath}{OURS} 2>/dev/null\n", home) == own


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_dump_of_another_user_is_not_used(home: Path) -> None:
    fpath = prepare(home)
    dump = publish(f"{fpath}{OURS}", home)
    os.chown(dump, 12345, 12345)
    done = run_zsh(f"{fpath}{OURS}{LOADED}", home, load=(PLUGIN,))
    assert done.stdout.startswith("dumped= ")


def test_the_compiled_dump_is_what_is_read(home: Path) -> None:
    fpath = prepare(home)
    dump = publish(f"{fpath}{OURS}", home)
    marked = dump.read_text().replace("zdefer_loaded=1", "zdefer_loaded=source")
    at = dump.stat().st_mtime_ns
    dump.write_text(marked)
    os.utime(dump, ns=(at, at))
    done = run_zsh(f"{fpath}{OURS}{LOADED}", home, load=(PLUGIN,))
    assert done.stdout.startswith("dumped=1 ")


# --- which dump ----------------------------------------------------------------


def test_each_fpath_and_way_has_a_dump_of_its_own(home: Path) -> None:
    fpath = prepare(home)
    codes = [
        f"{fpath}{OURS}",
        f"{fpath}{OURS} -u",
        f"{fpath}{OURS} -C",
        f"{fpath}fpath+=($HOME/more); {OURS}",
        f"{fpath}fpath=($fpath[2] $fpath[1] $fpath[3,-1]); {OURS}",
        f"{fpath}ZSH_VERSION=5.8.1; {OURS}",
    ]
    assert len({queued(code, home)[0][1] for code in codes}) == len(codes)
    assert queued(codes[0], home) == queued(f"{fpath}{OURS} -i -d $HOME/other", home)


def test_insecure_folders_are_left_out_and_named(home: Path) -> None:
    fpath = prepare(home)
    (home / "mine").chmod(0o777)
    dump = publish(f"{fpath}{OURS} 2>/dev/null", home)
    assert f"# insecure: {home}/mine\n" in dump.read_text()
    assert f"insecure: {home}/mine; left out" in (dump.parent / "said").read_text()
    show = '; print -r -- "$zdefer_loaded [$_comps[mine]] [${fpath[(r)*/mine]}] $_comps[tool]"'
    done = run_zsh(f"{fpath}{OURS}{show}", home, load=(PLUGIN,))
    assert (done.stdout, done.stderr) == ("1 [] [] _tool\n", "")
    assert "insecure" not in publish(f"{fpath}{OURS} -u", home).read_text()


def test_folders_that_compaudit_adds_are_in_fpath_afterwards(home: Path) -> None:
    """A short fpath with zsh's own folder of completion gets the folders below that."""
    fpath = f"{prepare(home)}fpath=($HOME/mine ${{^fpath}}/compinit(N:h))\n"
    snapshot(f"{fpath}{PLAIN}\n", home)
    own = snapshot(f"{fpath}{PLAIN}\n", home)
    publish(f"{fpath}{OURS}", home)
    assert snapshot(f"{fpath}{OURS}\n(( $+zdefer_loaded )) || exit 9\n", home) == own


def test_the_oldest_dumps_go(home: Path) -> None:
    fpath = prepare(home)
    dump = publish(f"{fpath}{OURS}", home)
    for number in range(12):
        for path in (
            dump.parent / f"compinit-{number}.zsh",
            dump.parent / f"compinit-{number}.zsh.zwc",
        ):
            path.touch()
            os.utime(path, (1000 + number, 1000 + number))
    publish(f"{fpath}{OURS}", home)
    left = {path.name for path in dump.parent.glob("compinit-*")}
    kept = {f"compinit-{number}.zsh{end}" for number in range(4, 12) for end in ("", ".zwc")}
    assert left == kept | {dump.name, f"{dump.name}.zwc"}


def test_another_zsh_refuses_to_make_it(home: Path) -> None:
    code = f"{prepare(home)}ZSH_VERSION=5.0; {OURS}"
    [words] = queued(code, home)
    quoted = " ".join(f"'{word}'" for word in words[words.index("--") + 1 :])
    done = run_zsh(quoted, home, load=())
    assert done.returncode == 1
    assert "this zsh is of another version" in done.stderr


def test_a_large_fpath_is_the_same(home: Path) -> None:
    folder = home / "many"
    folder.mkdir()
    for number in range(500):
        (folder / f"_many{number}").write_text(f"#compdef many{number} m{number}=many\n")
    fpath = f"fpath=({folder} $fpath)\n"
    snapshot(f"{fpath}{PLAIN}\n", home)
    own = snapshot(f"{fpath}{PLAIN}\n", home)
    publish(f"{fpath}{OURS}", home)
    assert snapshot(f"{fpath}{OURS}\n(( $+zdefer_loaded )) || exit 9\n", home) == own
    assert sum(line.startswith("_comps many") for line in own) == 500


@pytest.mark.parametrize("folder", ["/nonexistent/x", "gone", "/dev/null"])
def test_a_folder_for_temporary_files_that_is_gone(home: Path, folder: str) -> None:
    [words] = queued(f"{prepare(home)}{OURS}", home)
    made = subprocess.run(
        words[words.index("--") + 1 :],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": folder},
        capture_output=True,
        check=False,
        timeout=200,
    )
    assert (made.returncode, made.stderr) == (0, b"")
    assert made.stdout.endswith(b"_zdeferd_dumped=1\n")
