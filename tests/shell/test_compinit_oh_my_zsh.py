"""oh-my-zsh's own call of compinit, with and without `zdefer compinit` behind it.

`OH_MY_ZSH` names a folder with it; without that the test of another framework of this shape, in
test_compinit.py, is all there is.
"""

import os
from pathlib import Path

import pytest
from support.completion import publish, snapshot

FOLDER = Path(os.environ.get("OH_MY_ZSH", "absent"))
PLUGINS = "git docker kubectl npm extract"
OURS = 'compinit() { zdefer compinit "$@" }\n'


@pytest.mark.skipif(
    not (FOLDER / "oh-my-zsh.sh").is_file(), reason="OH_MY_ZSH does not name oh-my-zsh's folder"
)
def test_oh_my_zsh_is_the_same_with_it(home: Path) -> None:
    zshrc = (
        f"ZSH={FOLDER} ZSH_CACHE_DIR=$HOME/cache ZSH_THEME=robbyrussell\nplugins=({PLUGINS})\n"
        "zstyle ':omz:update' mode disabled\n"
    )
    source = "source $ZSH/oh-my-zsh.sh\n"
    (home / "cache/completions").mkdir(parents=True)
    snapshot(zshrc + source, home)
    own = snapshot(zshrc + source, home)
    publish(f"{zshrc}{OURS}{source}", home)
    ours = snapshot(f"{zshrc}{OURS}{source}(( $+zdefer_loaded )) || exit 9\n", home)
    # Where compinit has to scan, it leaves this array of a dump unset.
    assert [line for line in ours if "_comp_assocs" not in line] == [
        line for line in own if "_comp_assocs" not in line
    ]
    assert "gst" in own, "an alias of the plugin git"
