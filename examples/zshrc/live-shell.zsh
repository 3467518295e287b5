# A .zshrc whose slow parts wait until the prompt is there: docs/live-shell.md says what to use when.
source ~/.local/share/zdeferd/shell/zdeferd.plugin.zsh

# What the first prompt needs, from a cache that is made anew when the program changes.
zdefer eval starship init zsh
zdefer eval zoxide init zsh

# What completes: the dump is made once for all shells.
zdefer compinit

# What can come after the prompt, in this order, one command between keys.
zdefer here source ~/.zsh/zsh-autosuggestions/zsh-autosuggestions.zsh
zdefer here source ~/.zsh/zsh-syntax-highlighting/zsh-syntax-highlighting.zsh
zdefer here -n nvm source ~/.nvm/nvm.sh
zdefer here --after nvm nvm use --silent default

# What makes a file runs away from this shell, once a day for all of them.
zdefer add tags --once-per day -- ctags -R -f ~/.cache/tags ~/src
