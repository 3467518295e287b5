# Messages: zf::log, zf::warn and zf::err. All of them write one line on stderr; the last two also
# an ERROR line without the message to the shared log. Sourced at the first call.

zf::log() {
  builtin trap - DEBUG ZERR
  local words
  .zdeferd-words '' "$@" || .zdeferd-said "[zf][LOG] $words"
  return 0
}

zf::warn() {
  builtin trap - DEBUG ZERR
  local words
  .zdeferd-words WARN "$@" || .zdeferd-said "[zf][WARN] $words"
  return 0
}

zf::err() {
  builtin trap - DEBUG ZERR
  local words
  .zdeferd-words ERROR "$@" || .zdeferd-said "[zf][ERR] $words"
  return 0
}

# Writes the line $1 on stderr. Where that is closed, `print` raises an error, which would end the user's file.
.zdeferd-said() {
  { builtin print -ru2 -- "$1" } always { TRY_BLOCK_ERROR=0 }
}

# Makes of $2... the message `words` of its caller, and appends a line of the level $1, if any, to the
# log. `-m MODULE` may come before the message. 0 where there is none.
.zdeferd-words() {
  local level=$1 module
  shift
  [[ $1 != -m ]] || { module=$2; shift $(( $# > 1 ? 2 : 1 )) }
  (( $# )) || return 0
  words=${${(j: :)@}//[$'\0'-$'\x1f\x7f']/ }
  [[ -n $level && -n ${PERF_SEGMENT_LOG-} ]] || return 1
  (( $+functions[.zdeferd-append] )) || builtin source $_zdeferd_root/features/segments.zsh
  .zdeferd-module
  .zdeferd-append $PERF_SEGMENT_LOG "ERROR level=$level module=$module"
  return 1
}

# Makes of `module` in its caller a static tag; where it is empty, the feature whose function runs.
.zdeferd-module() {
  local phases='(metadata|is_enabled|preload|register|init|postprompt|teardown|self_check)'
  if [[ -z $module ]]; then
    module=${${(M)${funcstack:#feature_registry_(is_enabled|self_check)}:#feature_[a-z0-9]*_${~phases}}[1]}
    module=${${module#feature_}%_${~phases}}
  fi
  module=${module//[^A-Za-z0-9_.:-]/_}
  module=${${module##[^A-Za-z0-9]#}[1,64]}
  module=${module:-zsh}
}
