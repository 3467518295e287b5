# prompt-core: a prompt of one line, drawn without a process.
#
# It has the host over ssh, the folder, the status of the last command where that is not 0, and its
# duration from 2 s on (psvar[9]). Other features add to RPROMPT.

FEATURE_NAME="prompt-core"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="1"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="no"
FEATURE_DESCRIPTION="A prompt with folder, status and duration"
FEATURE_CATEGORY="prompt"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a02"
FEATURE_PLACE="away"

feature_prompt-core_metadata() {
  print -r -- "name=prompt-core
version=1.0.0
phase=1
depends=
default_enabled=yes
deferred=no
description=A prompt with folder, status and duration
category=prompt
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a02"
}

feature_prompt-core_is_enabled() {
  zf::feature::enabled prompt-core yes
}

feature_prompt-core_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add prompt-core 1 "" no prompt "A prompt with folder, status and duration" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a02 away
}

feature_prompt-core_init() {
  (( ${+_zf_prompt_core} )) || typeset -gA _zf_prompt_core
  [[ -n ${_zf_prompt_core[on]-} ]] || _zf_prompt_core[before]=$PROMPT
  _zf_prompt_core[on]=1
  PROMPT='%F{blue}%~%f%(?.. %F{red}%?%f)%(9V. %F{yellow}%9v%f.) %# '
  [[ -z ${SSH_CONNECTION-} ]] || PROMPT="%m $PROMPT"
  typeset -ga preexec_functions precmd_functions
  preexec_functions=("${(@)preexec_functions:#.zf-prompt-core-preexec}" .zf-prompt-core-preexec)
  precmd_functions=(.zf-prompt-core-precmd "${(@)precmd_functions:#.zf-prompt-core-precmd}")
}

.zf-prompt-core-preexec() {
  _zf_prompt_core[since]=$SECONDS
}

.zf-prompt-core-precmd() {
  emulate -L zsh
  local -i took=$(( SECONDS - ${_zf_prompt_core[since]:-$SECONDS} ))
  _zf_prompt_core[since]=
  psvar[9]=
  if (( took >= 3600 )); then
    psvar[9]="$(( took / 3600 ))h$(( took / 60 % 60 ))m"
  elif (( took >= 60 )); then
    psvar[9]="$(( took / 60 ))m$(( took % 60 ))s"
  elif (( took >= 2 )); then
    psvar[9]="${took}s"
  fi
}

feature_prompt-core_teardown() {
  [[ -n ${_zf_prompt_core[on]-} ]] || return 0
  PROMPT=$_zf_prompt_core[before]
  preexec_functions=("${(@)preexec_functions:#.zf-prompt-core-preexec}")
  precmd_functions=("${(@)precmd_functions:#.zf-prompt-core-precmd}")
  psvar[9]=
  unset _zf_prompt_core
}

feature_prompt-core_self_check() {
  [[ $PROMPT == *'%9v'* && ${+precmd_functions[(r).zf-prompt-core-precmd]} == 1 ]]
}

feature_prompt-core__test_inject_failure() {
  print -ru2 -- "prompt-core: failure for a test"
  return 42
}

feature_prompt-core_register
