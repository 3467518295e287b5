# A sample configuration for perf-gate: history, completion and a prompt. It writes no file.
HISTSIZE=10000
setopt hist_ignore_dups share_history
autoload -Uz compinit && compinit -D
PROMPT='%~ %# '
