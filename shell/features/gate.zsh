# Messages: zf::log, zf::warn and zf::err. All of them write one line on stderr; the last two also
# an ERROR line without the message to the shared log. Sourced at the first call.

zf::log() {
  builtin trap - DEBUG ZERR
  .zdeferd-message LOG "$@"
}

zf::warn() {
  builtin trap - DEBUG ZERR
  .zdeferd-message WARN "$@"
}

zf::err() {
  builtin trap - DEBUG ZERR
  .zdeferd-message ERR "$@"
}

# Writes the message $2... under the tag $1; `-m MODULE` may come before it.
.zdeferd-message() {
  local tag=$1 module
  shift
  [[ $1 != -m ]] || { module=$2; shift $(( $# > 1 ? 2 : 1 )) }
  (( $# )) || return 0
  builtin print -ru2 -- "[zf][$tag] ${${(j: :)@}//[$'\0'-$'\x1f\x7f']/ }"
  [[ $tag != LOG && -n ${PERF_SEGMENT_LOG-} ]] || return 0
  (( $+functions[.zdeferd-append] )) || builtin source $_zdeferd_root/features/segments.zsh
  .zdeferd-module
  .zdeferd-append $PERF_SEGMENT_LOG "ERROR level=${${tag:#ERR}:-ERROR} module=$module"
  return 0
}

# Makes of `module` in its caller a static tag; where it is empty, the feature whose function runs.
.zdeferd-module() {
  local phases='(metadata|is_enabled|preload|register|init|postprompt|teardown|self_check)'
  if [[ -z $module ]]; then
    module=${${(M)funcstack:#feature_[a-z0-9]*_${~phases}}[1]}
    module=${${module#feature_}%_${~phases}}
  fi
  module=${module//[^A-Za-z0-9_.:-]/_}
  module=${${module##[^A-Za-z0-9]#}[1,64]}
  module=${module:-zsh}
}
