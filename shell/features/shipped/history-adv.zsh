# history-adv: a long history without duplicates, and arrow keys that search it.
#
# A line that begins with a blank, or that assigns a value to a name such as API_TOKEN or DB_PASSWORD,
# is kept in the session and not written to the file.

FEATURE_NAME="history-adv"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="2"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="no"
FEATURE_DESCRIPTION="A long history, arrow keys that search it, secrets left out"
FEATURE_CATEGORY="history"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a03"
FEATURE_PLACE="away"

feature_history-adv_metadata() {
  print -r -- "name=history-adv
version=1.0.0
phase=2
depends=
default_enabled=yes
deferred=no
description=A long history, arrow keys that search it, secrets left out
category=history
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a03"
}

feature_history-adv_is_enabled() {
  zf::feature::enabled history-adv yes
}

feature_history-adv_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add history-adv 2 "" no history "A long history, arrow keys that search it, secrets left out" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a03 away
}

feature_history-adv_init() {
  local option
  (( ${+_zf_history_adv} )) || typeset -ga _zf_history_adv
  [[ -n ${HISTFILE-} ]] || typeset -g HISTFILE=${ZDOTDIR:-$HOME}/.zsh_history
  (( HISTSIZE >= 100000 )) || HISTSIZE=100000
  (( SAVEHIST >= 100000 )) || SAVEHIST=100000
  for option in extended_history hist_ignore_dups hist_expire_dups_first hist_ignore_space hist_verify \
    inc_append_history hist_fcntl_lock
  do
    if [[ ! -o $option ]]; then
      setopt $option
      _zf_history_adv+=($option)
    fi
  done
  typeset -ga zshaddhistory_functions
  zshaddhistory_functions=("${(@)zshaddhistory_functions:#.zf-history-adv-keep}" .zf-history-adv-keep)
  [[ -o interactive ]] || return 0
  autoload -Uz up-line-or-beginning-search down-line-or-beginning-search
  zle -N up-line-or-beginning-search
  zle -N down-line-or-beginning-search
  bindkey '^[[A' up-line-or-beginning-search
  bindkey '^[OA' up-line-or-beginning-search
  bindkey '^[[B' down-line-or-beginning-search
  bindkey '^[OB' down-line-or-beginning-search
}

# 2: the line is kept in the session alone.
.zf-history-adv-keep() {
  emulate -L zsh -o extended_glob
  [[ $1 != *[A-Z0-9_]#(TOKEN|SECRET|PASSWORD|PASSWD|API_KEY|ACCESS_KEY)=[^[:space:]]* ]] || return 2
}

feature_history-adv_teardown() {
  local option
  for option in $_zf_history_adv; do unsetopt $option; done
  unset _zf_history_adv
  zshaddhistory_functions=("${(@)zshaddhistory_functions:#.zf-history-adv-keep}")
  [[ -o interactive ]] || return 0
  bindkey '^[[A' up-line-or-history
  bindkey '^[OA' up-line-or-history
  bindkey '^[[B' down-line-or-history
  bindkey '^[OB' down-line-or-history
}

feature_history-adv_self_check() {
  [[ -o extended_history && -o hist_ignore_space && -n $HISTFILE ]] && (( SAVEHIST >= 100000 ))
}

feature_history-adv__test_inject_failure() {
  print -ru2 -- "history-adv: failure for a test"
  return 42
}

feature_history-adv_register
