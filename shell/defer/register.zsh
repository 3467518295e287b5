# Registration, and the one hook. All of it is on the prompt's path, this text included:
# no process, no file but this one. functions/ comes at need, visit.zsh after the prompt.

(( ${+_zdeferd_armed} )) && return 0  # sourced twice

typeset -g _zdeferd_version=0.1.0
typeset -gi _zdeferd_armed=2
typeset -ga _zdeferd_queue _zdeferd_told _zdeferd_outbox _zdeferd_options
typeset -gA _zdeferd _zdeferd_ids

# Few commands: each costs three system calls. The pattern is zdeferd-check's rule.
zf::defer::register() {
  builtin trap - DEBUG ZERR
  [[ $# -gt 3 && $3:$1 == (postprompt|idle):[a-z0-9][a-z0-9-]# && $#1 -lt 65 && -n $2 ]] ||
    zdeferd-refuse zf::defer::register "$@" || return
  _zdeferd_queue+=(defer$'\0'"${(pj:\0:)@}")
  (( _zdeferd_armed )) || zdeferd-arm
}

# `zle -F` on a number that is not open: ZLE calls at once when it waits for keys.
.zdeferd-precmd() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  if [[ -n ${_zdeferd[fd]-} ]]; then
    .zdeferd-end unanswered  # an empty line: other hooks are about to fork
    (( $+_zdeferd[given_up] )) && return 0
  fi
  precmd_functions=("${(@)precmd_functions:#.zdeferd-precmd}")
  local -i number=900
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number zdeferd-kick
  _zdeferd[kick]=$number
}

# Whether a key waits: ZLE would call us first. Who finds that it does returns, and is called again;
# not for ever, where standard input is not what ZLE reads.
.zdeferd-typed() {
  builtin emulate -L zsh -o warn_create_global
  local -a ready
  {
    builtin zmodload -F zsh/zselect +b:zselect && [[ -t 0 ]] &&
      builtin zselect -t 0 -a ready -r 0 && (( ++_zdeferd[yielded] < 1000 ))
  } 2>/dev/null
}

builtin autoload -Uz $_zdeferd_root/functions/{zdefer,zdeferd-{add,arm,check,doubt,help,kick,refuse,socket},zdeferd_plugin_unload,zf::idle::{register,run_if_ready}}
fpath+=($_zdeferd_root/functions)
if [[ -o interactive ]]; then
  (( ${+precmd_functions} )) || { typeset -ga precmd_functions; _zdeferd[precmd_functions]=1 }
  precmd_functions+=(.zdeferd-precmd)
fi
