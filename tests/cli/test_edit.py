"""`zdeferctl edit`: in the user's editor, checked before it counts; the old one stays otherwise."""

import errno

import pytest
from support.daemon import Daemon
from support.editing import draft, editor
from support.terminal import Terminal
from support.user import Result, User, call, ctl_script, job

OLD = '# mine\n[build]\nrun = "true"\n'
KINDS = [("VISUAL", "EDITOR"), ("EDITOR", "VISUAL")]


def test_a_change_that_is_right(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/true/false/ "$1"')
    result = call("edit", "build")
    assert result == (
        0,
        "written: ~/.config/zdeferd/jobs.d/mine.toml; the daemon reads it at its next start\n",
        "",
    )
    assert path.read_text() == OLD.replace("true", "false")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not draft(user).exists()


def test_nonsense_leaves_the_old_one_in_force(
    user: User, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = user.job_file('[build]\nrun = "print old"\n')
    old = path.read_text()
    daemon.start()
    editor(user, monkeypatch, 'printf "[build]\\nrun = 7\\n" >"$1"')
    result = call("edit", "build")
    assert result.code == 1
    lines = result.out.splitlines()
    assert lines[0].startswith("refused ~/.config/zdeferd/jobs.d/mine.toml:2: build.run: found 7")
    assert lines[1] == (
        "~/.config/zdeferd/jobs.d/mine.toml stays in force as it was;"
        " the draft is kept: ~/.config/zdeferd/jobs.d/.mine.draft.toml"
    )
    assert lines[2] == "mend it: zdeferctl edit build"
    assert path.read_text() == old
    assert call("check").code == 0  # a draft is no job file
    assert call("run", "build").out.startswith("old\n")
    editor(user, monkeypatch, 'sed -i s/7/\'"print new"\'/ "$1"')  # goes on with the draft
    assert call("edit", "build").out.endswith("; the daemon has read it\n")
    assert call("run", "build").out.startswith("new\n")
    assert not draft(user).exists()


@pytest.mark.parametrize(
    "text", ["[build\\n", "\\377", "[build]\\nrun = 'x'\\nafter = ['build']\\n"]
)
def test_kinds_of_nonsense(user: User, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, f'printf "{text}" >"$1"')
    result = call("edit", "build", "--json")
    assert result.code == 1
    assert result.document["draft"] == str(draft(user))
    assert len(result.document["problems"]) == 1
    assert path.read_text() == OLD


@pytest.mark.parametrize("text", ["", "# nothing is left\\n"])
def test_a_file_without_a_job_is_refused(
    user: User, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, f'printf "{text}" >"$1"')
    result = call("edit", "build")
    assert result.code == 1
    assert "jobs.d/mine.toml: found no job; expected a table of a job" in result.out
    assert path.read_text() == OLD
    assert draft(user).exists()


def test_an_id_of_another_file(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.job_file('[a-first]\nrun = "true"\n', "a.toml")
    path = user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/build/a-first/ "$1"')
    assert "an id that is taken" in call("edit", "build").out
    assert path.read_text() == OLD


def test_mistakes_of_other_files_do_not_count(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.job_file("[bad]\nrun = 7\n", "bad.toml")
    user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/true/false/ "$1"')
    assert call("edit", "build").code == 0


def test_nothing_was_changed(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.job_file(OLD)
    editor(user, monkeypatch, ":")
    result = call("edit", "build")
    assert result == (0, "nothing was changed: ~/.config/zdeferd/jobs.d/mine.toml\n", "")
    assert not draft(user).exists()


def of_kind(user: User, monkeypatch: pytest.MonkeyPatch, words: str) -> Result:
    """Edit with an editor of this name that returns before anything is changed."""
    user.job_file(OLD)
    program = user.root / words.split()[0]
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{user.root}/{words}")
    return call("edit", "build")


@pytest.mark.parametrize(
    ("words", "option"),
    [("code", "--wait"), ("subl -n", "--wait"), ("zed", "--wait"), ("gvim", "--nofork")],
)
def test_an_editor_that_does_not_wait_is_given_the_option_by_which_it_does(
    user: User, monkeypatch: pytest.MonkeyPatch, words: str, option: str
) -> None:
    result = of_kind(user, monkeypatch, words)
    program = words.split()[0]
    assert result.code == 0
    assert result.out == (
        "nothing was changed: ~/.config/zdeferd/jobs.d/mine.toml;"
        f" {program} returns at once: VISUAL or EDITOR needs its option {option}\n"
    )


@pytest.mark.parametrize("words", ["code --wait", "gedit -w", "vim", "nano", "kate -b"])
def test_no_hint_for_an_editor_that_waits(
    user: User, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    result = of_kind(user, monkeypatch, words)
    assert result == (0, "nothing was changed: ~/.config/zdeferd/jobs.d/mine.toml\n", "")


def test_an_id_that_is_changed_is_named(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/build/compile/ "$1"')
    assert call("edit", "build").out.splitlines()[1:] == [
        "gone: build; its runs stay, `zdeferctl forget build` deletes them",
        "new: compile; another job to zdeferd, with claims and runs of its own",
    ]
    assert "[compile]" in path.read_text()
    editor(user, monkeypatch, 'printf "[clean]\\nrun = 1\\n" >>"$1"; sed -i "s/= 1/= \'x\'/" "$1"')
    document = call("edit", "compile", "--json").document
    assert (document["gone"], document["new"]) == ([], ["clean"])


@pytest.mark.parametrize(("name", "other"), KINDS)
def test_visual_is_taken_before_editor(
    user: User, monkeypatch: pytest.MonkeyPatch, name: str, other: str
) -> None:
    user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/true/false/ "$1"', name)
    monkeypatch.setenv(other, "" if name == "EDITOR" else "/nowhere/editor")
    assert call("edit", "build").code == 0


def test_no_editor(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user.job_file(OLD)
    for name in ("VISUAL", "EDITOR"):
        monkeypatch.delenv(name, raising=False)
    told = "zdeferctl: no editor is set: VISUAL and EDITOR; set one: export EDITOR=vim\n"
    assert call("edit", "build") == (1, "", told)
    assert list(path.parent.iterdir()) == [path]


def test_an_editor_that_fails(
    user: User, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = user.job_file(OLD)
    monkeypatch.setenv("VISUAL", "/nowhere/editor")
    result = call("edit", "build")
    assert result.code == 1
    assert result.err.startswith(
        "zdeferctl: editor failed: /nowhere/editor: exit code 127; nothing"
    )
    assert not draft(user).exists()
    editor(user, monkeypatch, 'echo "# more" >>"$1"; exit 3')
    result = call("edit", "build")
    assert result.err.endswith(f"exit code 3; the draft is kept: {draft(user)}\n")
    assert draft(user).read_text() == f"{OLD}# more\n"
    assert path.read_text() == OLD
    assert "/nowhere/editor" in capfd.readouterr().err  # what sh says


def test_ctrl_c_is_the_editors(user: User) -> None:
    """The terminal sends it to both; vi ends an insertion by it and goes on."""
    path = user.job_file(OLD)
    script = user.root / "editor"
    script.write_text(
        "#!/usr/bin/env zsh\nTRAPINT() { print interrupted; return 0 }\n"
        "print editing; read -r line\nprint -r -- $line >>$1\n"
    )
    script.chmod(0o755)
    names = f"PATH={ctl_script(user).parent}:$PATH EDITOR={script}"
    with Terminal(user.root, f"export {names}\n") as shell:
        shell.prompt()
        shell.type("zdeferctl edit build\r")
        shell.expect("editing")
        shell.type("\x03")
        shell.expect("interrupted")
        shell.type("# more\r")
        shell.expect("written: ~/.config/zdeferd/jobs.d/mine.toml")
    assert path.read_text() == f"{OLD}# more\n"


def test_a_file_that_was_changed_meanwhile(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, f'echo "# a" >>"$1"; echo "# b" >>{path}')
    result = call("edit", "build")
    assert result.code == 1
    assert f"file was changed meanwhile: {path}; the draft is kept" in result.err
    assert path.read_text() == f"{OLD}# b\n"


def test_a_link_stays_a_link(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user.job_file(OLD)
    real = user.root / "dotfiles.toml"
    path.rename(real)
    path.symlink_to(real)
    editor(user, monkeypatch, 'sed -i s/true/false/ "$1"')
    assert call("edit", "build").code == 0
    assert path.is_symlink()
    assert "false" in real.read_text()


def test_jobs_that_no_file_declares(user: User) -> None:
    user.job_file(OLD)
    user.ledger().declare_job(job("of-shell"), "shell-1", 1.0)
    assert "job is declared by a shell, not by a file: of-shell" in call("edit", "of-shell").err
    assert "no such job: biuld; did you mean build?" in call("edit", "biuld").err


@pytest.mark.parametrize(
    ("made", "why"), [("mkdir", "Is a directory"), ("mkfifo", "it is not a regular file")]
)
def test_no_file_in_the_place_of_the_draft(
    user: User, monkeypatch: pytest.MonkeyPatch, made: str, why: str
) -> None:
    path = user.job_file(OLD)
    editor(user, monkeypatch, f'rm -f "$1"; {made} "$1"')
    assert call("edit", "build").err == (
        f"zdeferctl: cannot read: {draft(user)}: {why}; move it away\n"
    )
    assert path.read_text() == OLD


def test_a_place_that_cannot_be_written(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that the user knows is named, not a temporary one."""
    path = user.job_file(OLD)
    editor(user, monkeypatch, 'sed -i s/true/false/ "$1"')
    monkeypatch.setattr("tempfile.mkstemp", _denied)
    result = call("edit", "build")
    assert result.code == 1
    assert result.err == (
        f"zdeferctl: cannot write: {draft(user)}: Permission denied; see ls -ld {path.parent}\n"
    )


def _denied(**_: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied", "/nowhere/.zdeferd-1")
