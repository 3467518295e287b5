# completion-aug: completion that starts from a cache, which a job keeps fresh.
#
# compinit looks at every function of fpath, which takes most of a start-up. Here a shell reads the
# cache as it is; after the prompt a job makes it again for the next shell, in a file of its own
# that takes the old one's place.

FEATURE_NAME="completion-aug"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="2"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="yes"
FEATURE_DESCRIPTION="Completion from a cache that a job keeps fresh"
FEATURE_CATEGORY="completion"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a04"
FEATURE_PLACE="away"

feature_completion-aug_metadata() {
  print -r -- "name=completion-aug
version=1.0.0
phase=2
depends=
default_enabled=yes
deferred=yes
description=Completion from a cache that a job keeps fresh
category=completion
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a04"
}

feature_completion-aug_is_enabled() {
  zf::feature::enabled completion-aug yes
}

feature_completion-aug_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add completion-aug 2 "" yes completion "Completion from a cache that a job keeps fresh" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a04 away
}

feature_completion-aug_init() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/zdeferd/completion-aug
  if (( ! ${+functions[compdef]} )); then
    autoload -Uz compinit
    if [[ -s $cache/dump && -O $cache/dump ]]; then
      compinit -C -d $cache/dump
    else
      zmodload -F zsh/files b:zf_mkdir
      [[ -d $cache ]] || zf_mkdir -p -m 700 -- $cache
      compinit -i -d $cache/dump
    fi
  fi
  zstyle ':completion:*' menu select
  zstyle ':completion:*' matcher-list '' 'm:{a-zA-Z}={A-Za-z}' 'r:|[._-]=* r:|=*'
  zstyle ':completion:*' use-cache yes
  zstyle ':completion:*' cache-path $cache/results
  zstyle ':completion:*:descriptions' format '%F{yellow}%d%f'
  zstyle ':completion:*' group-name ''
}

# Runs away from the shell, with its fpath.
feature_completion-aug_postprompt() {
  emulate -L zsh
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/zdeferd/completion-aug
  local fresh=$cache/dump.$$
  umask 077
  mkdir -p -- $cache || return
  autoload -Uz compinit
  compinit -i -d $fresh && [[ -s $fresh ]] && mv -f -- $fresh $cache/dump && cd -q -- $cache && zcompile dump
}

feature_completion-aug_teardown() {
  zstyle -d ':completion:*' menu
  zstyle -d ':completion:*' matcher-list
  zstyle -d ':completion:*' use-cache
  zstyle -d ':completion:*' cache-path
  zstyle -d ':completion:*:descriptions' format
  zstyle -d ':completion:*' group-name
}

feature_completion-aug_self_check() {
  (( ${+functions[compdef]} ))
}

feature_completion-aug__test_inject_failure() {
  print -ru2 -- "completion-aug: failure for a test"
  return 42
}

feature_completion-aug_register
