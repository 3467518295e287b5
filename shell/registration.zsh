# Registration: what a .zshrc calls, and the one hook that it leaves behind.
#
# Sourced by zdeferd.plugin.zsh under its options. Everything here is on the prompt's
# path: no external command, no subshell, no file but this one. Registering appends to
# an array; what it means is worked out after the prompt, by message.zsh.
#
# State: `_zdeferd_queue` holds what was registered and has not been packed into a
# message: a kind (`defer` or `add`), a count, and that many words. `_zdeferd_armed` is 1
# while the queue needs no attention: a visit is coming, under way, or given up.
# `_zdeferd_outbox` holds packed messages that nobody has answered. `_zdeferd` has the
# rest: fd, phase, input (of the visit), seq, nonce, tries, prompted, idle.

(( ${+_zdeferd_armed} )) && return 0  # sourced twice

typeset -g _zdeferd_version=0.1.0
typeset -gi _zdeferd_armed=0
typeset -ga _zdeferd_queue=() _zdeferd_outbox=() _zdeferd_options=()
typeset -gA _zdeferd=() _zdeferd_ids=()

zf::defer::register() {
  builtin trap - DEBUG ZERR
  case $3:$1 in
    (*[^a-z0-9:-]*|*:|*:-*|*:*:*) ;;
    (postprompt:*|idle:*)
      if (( $# > 3 && $#1 < 65 && $#2 )); then
        _zdeferd_queue+=(defer $# "$@")
        (( _zdeferd_armed )) || .zdeferd-arm
        return 0
      fi ;;
  esac
  zdeferd-refuse zf::defer::register "$@"
}

zf::idle::register() {
  builtin trap - DEBUG ZERR
  [[ ${ZSH_IDLE_ENABLE-} == 0 ]] && return 0
  case $1 in
    (*[^a-z0-9-]*|-*|'') ;;
    (*)
      if (( $# > 2 && $#1 < 65 && $+functions[$2] )); then
        (( $+_zdeferd_ids[idle:$1] )) && return 2
        _zdeferd_ids[idle:$1]=
        _zdeferd_queue+=(defer $(( $# + 1 )) "$1" "$2" idle "${(@)@[3,-1]}")
        (( _zdeferd_armed )) || .zdeferd-arm
        return 0
      fi ;;
  esac
  zdeferd-refuse zf::idle::register "$@"
}

# A visit at the next prompt. In a shell that has no prompts there is nothing to arm.
.zdeferd-arm() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  _zdeferd_armed=1
  [[ -o interactive && $ZSH_SUBSHELL == 0 ]] || return 0
  (( $+precmd_functions )) || { typeset -ga precmd_functions; _zdeferd[precmd_functions]=1 }
  precmd_functions+=(.zdeferd-precmd)
}

# Asks ZLE to call .zdeferd-kick as soon as it waits for keys: `zle -F` on a number that
# is not open is ready at once. Nothing is opened, and typed-ahead keys are read first.
.zdeferd-precmd() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  if [[ -n ${_zdeferd[fd]-} ]]; then
    .zdeferd-end unanswered  # an empty line: other hooks are about to fork
    (( $+_zdeferd[given_up] )) && return 0
  fi
  precmd_functions=("${(@)precmd_functions:#.zdeferd-precmd}")
  local -i number=900
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number .zdeferd-kick
  _zdeferd[kick]=$number
  return 0
}

# The prompt is up. The shell's own options are needed, and ours are in force here; but an
# EXIT trap of a function runs after they are back, and no other trap fires inside it.
.zdeferd-kick() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases && builtin trap - DEBUG ZERR
  builtin zle -F $1
  _zdeferd[kick]=
  (( $+_zdeferd[loaded] )) || builtin source "$_zdeferd_root/visit.zsh" 2>/dev/null || return 0
  builtin trap '{
    _zdeferd_options=(${(k)options[(R)on]}) && .zdeferd-open || builtin true
  } 2>/dev/null' EXIT
}

builtin autoload -Uz "$_zdeferd_root"/functions/{zdefer,zdeferd-add,zdeferd-help,zdeferd-refuse,zdeferd-socket,zdeferd_plugin_unload,zf::idle::run_if_ready}
if (( ! $fpath[(Ie)$_zdeferd_root/functions] )); then
  fpath+=("$_zdeferd_root/functions")
  _zdeferd[fpath]=1
fi
.zdeferd-arm
