# A .zshrc as people write it by hand: options, paths, aliases, small functions, keys, styles. The bench
# reads it before what it compares; nothing here starts a process.

export EDITOR=vim
export VISUAL=vim
export PAGER=less
export LESS=-FRX
export LESSHISTFILE=-
export MANWIDTH=100
export GREP_COLORS=mt=1;31
export GOPATH=$HOME/go
export CARGO_HOME=$HOME/.cargo
export NPM_CONFIG_PREFIX=$HOME/.npm
export PYTHONDONTWRITEBYTECODE=1
export PIP_REQUIRE_VIRTUALENV=1
export RIPGREP_CONFIG_PATH=$HOME/.config/ripgrep
export FZF_DEFAULT_OPTS='--height 40% --reverse'
export LS_COLORS='di=1;34:ln=1;36:ex=1;32:*.tar=31:*.gz=31:*.zip=31'

typeset -U path fpath
path=(
  $HOME/bin(N)
  $HOME/.local/bin(N)
  $HOME/go/bin(N)
  $HOME/.cargo/bin(N)
  $HOME/.npm/bin(N)
  $path
)
fpath=($HOME/.zsh/functions(N) $fpath)

setopt auto_cd
setopt auto_pushd
setopt pushd_ignore_dups
setopt pushd_silent
setopt extended_glob
setopt glob_dots
setopt numeric_glob_sort
setopt interactive_comments
setopt no_beep
setopt no_flow_control
setopt long_list_jobs
setopt notify
setopt no_hup
setopt complete_in_word
setopt always_to_end
setopt no_menu_complete
setopt auto_menu
setopt auto_list
setopt no_list_beep
setopt multios
setopt rc_quotes
setopt combining_chars
HISTSIZE=50000
SAVEHIST=50000
REPORTTIME=30
KEYTIMEOUT=10
WORDCHARS='*?_-.[]~&;!#$%^(){}<>'
DIRSTACKSIZE=20

alias g='git'
alias ga='git add'
alias gaa='git add --all'
alias gap='git add --patch'
alias gb='git branch'
alias gbd='git branch --delete'
alias gc='git commit --verbose'
alias gca='git commit --amend'
alias gcm='git commit --message'
alias gco='git checkout'
alias gcp='git cherry-pick'
alias gd='git diff'
alias gds='git diff --staged'
alias gf='git fetch --prune'
alias gl='git pull --ff-only'
alias glg='git log --graph --oneline'
alias gp='git push'
alias gpf='git push --force-with-lease'
alias gr='git remote --verbose'
alias grb='git rebase'
alias grbi='git rebase --interactive'
alias grs='git restore'
alias gs='git status --short'
alias gst='git stash'
alias gstp='git stash pop'
alias gsw='git switch'
alias gt='git tag'
alias gw='git worktree'

alias l='ls -lh'
alias la='ls -lAh'
alias ll='ls -l'
alias lt='ls -lht'
alias lz='ls -lhS'
alias ls='ls --color=auto'
alias grep='grep --color=auto'
alias egrep='grep -E --color=auto'
alias df='df -h'
alias du='du -h'
alias free='free -m'
alias mkdir='mkdir -p'
alias cp='cp -i'
alias mv='mv -i'
alias ln='ln -i'
alias less='less -R'
alias tree='tree -C'
alias which='whence -v'
alias path='print -rl -- $path'
alias h='history -20'
alias j='jobs -l'
alias q='exit'
alias v='vim'
alias sv='sudo vim'
alias e='$EDITOR'
alias reload='exec zsh'
alias ports='ss -tulpn'
alias myip='ip -brief address'
alias wget='wget --continue'
alias serve='python3 -m http.server'
alias json='python3 -m json.tool'
alias py='python3'
alias ve='python3 -m venv .venv'
alias va='source .venv/bin/activate'
alias pi='pip install'
alias pt='pytest -q'

alias d='docker'
alias dps='docker ps'
alias di='docker images'
alias dx='docker exec --interactive --tty'
alias dl='docker logs --follow'
alias drm='docker rm'
alias dc='docker compose'
alias dcu='docker compose up --detach'
alias dcd='docker compose down'
alias k='kubectl'
alias kg='kubectl get'
alias kd='kubectl describe'
alias kl='kubectl logs'
alias kx='kubectl config use-context'
alias tf='terraform'
alias tfp='terraform plan'
alias m='make'
alias mt='make test'
alias c='cargo'
alias cb='cargo build'
alias ct='cargo test'
alias n='npm run'
alias ni='npm install'

alias -g G='| grep'
alias -g L='| less'
alias -g H='| head'
alias -g T='| tail'
alias -g N='>/dev/null'
alias -g W='| wc -l'
alias -s md=$EDITOR
alias -s txt=$EDITOR
alias -s json=$EDITOR
alias -s toml=$EDITOR

# Makes a folder and goes there.
mkcd() {
  mkdir -p -- "$1" && cd -- "$1"
}

# Up by N folders.
up() {
  local -i count=${1:-1}
  local target=.
  while (( count-- > 0 )); do target+=/..; done
  cd -- $target
}

# Unpacks by the end of the name.
extract() {
  case $1 in
    (*.tar.gz|*.tgz) tar -xzf "$1" ;;
    (*.tar.xz) tar -xJf "$1" ;;
    (*.tar.bz2) tar -xjf "$1" ;;
    (*.tar) tar -xf "$1" ;;
    (*.zip) unzip -q "$1" ;;
    (*.gz) gunzip "$1" ;;
    (*)
      print -ru2 -- "extract: unknown kind: $1"
      return 1 ;;
  esac
}

# Files with this text in their names.
ff() {
  print -rl -- **/*$1*(N.)
}

# A copy with the date in its name.
backup() {
  local file
  for file; do cp -a -- $file $file.${(%):-%D{%Y%m%d}}; done
}

# The largest things here.
big() {
  du -sh -- *(DN) | sort -rh | head -${1:-10}
}

# Ends what listens on a port.
freeport() {
  local pid
  pid=$(lsof -ti :$1) && kill $pid
}

# A note of one line.
note() {
  if (( $# )); then print -r -- "$(date +%F) $*" >>~/notes.txt; else tail -20 ~/notes.txt; fi
}

# The branch, cleaned of those that were merged.
gclean() {
  git branch --merged | grep -v '^[*+]' | xargs -r git branch --delete
}

# The root of the repository.
groot() {
  cd -- "$(git rev-parse --show-toplevel)"
}

bindkey -e
bindkey '^[[1;5C' forward-word
bindkey '^[[1;5D' backward-word
bindkey '^[[H' beginning-of-line
bindkey '^[[F' end-of-line
bindkey '^[[3~' delete-char
bindkey '^[[Z' reverse-menu-complete
bindkey '^U' backward-kill-line
bindkey '^[.' insert-last-word
bindkey '^X^E' edit-command-line
bindkey '^R' history-incremental-search-backward
autoload -Uz edit-command-line
zle -N edit-command-line

zstyle ':completion:*' list-colors ${(s.:.)LS_COLORS}
zstyle ':completion:*' special-dirs true
zstyle ':completion:*' squeeze-slashes yes
zstyle ':completion:*' completer _complete _approximate
zstyle ':completion:*:approximate:*' max-errors 1
zstyle ':completion:*:*:kill:*' menu yes select
zstyle ':completion:*:processes' command 'ps -u $USER -o pid,comm'
zstyle ':completion:*:cd:*' ignore-parents parent pwd
zstyle ':completion:*:manuals' separate-sections true
zstyle ':completion:*:ssh:*' hosts off

autoload -Uz add-zsh-hook
_title() {
  print -n -- $'\e]0;'${(%):-%~}$'\a'
}
_enter() {
  typeset -g _entered=$PWD
}
add-zsh-hook chpwd _enter
[[ ! -r ~/.zshrc.local ]] || source ~/.zshrc.local
