# safety-boundaries: a second thought before files are lost.
#
# `>` does not overwrite a file (`>|` does), `rm *` waits before it asks, and `rm -r` of /, of the home
# folder or of a folder just below / is refused. `command rm` is as ever.

FEATURE_NAME="safety-boundaries"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="2"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="no"
FEATURE_DESCRIPTION="No overwriting by accident, no rm of what matters"
FEATURE_CATEGORY="safety"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a06"
FEATURE_PLACE="away"

feature_safety-boundaries_metadata() {
  print -r -- "name=safety-boundaries
version=1.0.0
phase=2
depends=
default_enabled=yes
deferred=no
description=No overwriting by accident, no rm of what matters
category=safety
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a06"
}

feature_safety-boundaries_is_enabled() {
  zf::feature::enabled safety-boundaries yes
}

feature_safety-boundaries_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add safety-boundaries 2 "" no safety "No overwriting by accident, no rm of what matters" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a06 away
}

feature_safety-boundaries_init() {
  local option
  (( ${+_zf_safety_boundaries} )) || typeset -ga _zf_safety_boundaries
  for option in no_clobber rm_star_wait no_rm_star_silent; do
    if [[ ! -o $option ]]; then
      setopt $option
      _zf_safety_boundaries+=($option)
    fi
  done
  if (( ! ${+functions[rm]} && ! ${+aliases[rm]} )); then
    functions[rm]='.zf-safety-boundaries-look "$@" && command rm "$@"'
  fi
}

# 1, and a line on stderr, where rm would take what nobody means.
.zf-safety-boundaries-look() {
  emulate -L zsh -o extended_glob
  local word place
  local -i recursive=0
  for word; do
    [[ $word != (-[^-]#[rR]*|--recursive) ]] || recursive=1
  done
  (( recursive )) || return 0
  for word in "${(@)@:#-*}"; do
    place=${word:A}
    if [[ $place == / || $place == /[^/]## || $place == ${HOME:A} ]]; then
      zf::warn -m safety-boundaries "rm: refused: ${(q+)word}; use \`command rm' if you mean it"
      return 1
    fi
  done
}

feature_safety-boundaries_teardown() {
  local option
  for option in $_zf_safety_boundaries; do
    if [[ $option == no_* ]]; then setopt ${option#no_}; else unsetopt $option; fi
  done
  unset _zf_safety_boundaries
  if [[ ${functions[rm]-} == *.zf-safety-boundaries-look* ]]; then unfunction rm; fi
}

feature_safety-boundaries_self_check() {
  [[ ! -o clobber && -o rm_star_wait ]]
}

feature_safety-boundaries__test_inject_failure() {
  print -ru2 -- "safety-boundaries: failure for a test"
  return 42
}

feature_safety-boundaries_register
