# Registration, and what begins the first visit. All of it is on the prompt's path, this text
# included: no process, no file but this one. functions/ is loaded at need, visit.zsh after the prompt.

(( ${+_zdeferd_armed} )) && return 0  # sourced twice

# The clock is a prompt escape: ns since the epoch, without a module. It is read here, because a .zshrc
# may name its log later (prompt_ready). The first look reads the time zone: 8 system calls.
typeset -g _zdeferd_clock='%D{%s%9.}' _zdeferd_born=${(%):-%D{%s%9.}} _zdeferd_armed=2 _zdeferd_version=0.2.0
typeset -ga _zdeferd_queue _zdeferd_told _zdeferd_outbox _zdeferd_options
typeset -gA _zdeferd _zdeferd_ids

# Few commands: each costs three system calls. The pattern is zdeferd-check's rule.
zf::defer::register() {
  builtin trap - DEBUG ZERR
  [[ $# -gt 2 && $3:$1 == (postprompt|idle):[a-z0-9][a-z0-9-]# && $#1 -lt 65 && -n $2 ]] ||
    zdeferd-refuse zf::defer::register "$@" || return
  _zdeferd_queue+=(defer$'\0'"${(pj:\0:)@}")
  (( _zdeferd_armed )) || zdeferd-arm
}

# Has ZLE call the function $1 as soon as it waits for keys: it calls at once for a descriptor number
# that is not open. Nothing is opened, and a hook is not needed. After a function that `sched` called,
# ZLE looks at no new number until a key comes; so the timer calls instead.
.zdeferd-soon() {
  builtin emulate -L zsh -o warn_create_global
  local -i number=900
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number $1
  _zdeferd[kick]=$number _zdeferd[soon]=$1
  [[ $zsh_eval_context[1] != sched ]] || zdeferd-tick later
}

# Leaves a visit to the next prompt. What is registered until then begins one at once: whether the
# hook is still there is not relied on.
.zdeferd-later() {
  builtin emulate -L zsh -o warn_create_global
  (( ${+precmd_functions} )) || { typeset -ga precmd_functions; _zdeferd[precmd_functions]=1 }
  (( $precmd_functions[(Ie).zdeferd-precmd] )) || precmd_functions+=(.zdeferd-precmd)
  _zdeferd_armed=0
}

# A prompt is about to be drawn. Ends the visit that is under way; begins one.
.zdeferd-precmd() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  if [[ -n ${_zdeferd[fd]-} ]]; then
    .zdeferd-end unanswered  # an empty line: other hooks are about to fork
    (( $+_zdeferd[given_up] )) && return 0
  fi
  precmd_functions=("${(@)precmd_functions:#.zdeferd-precmd}")
  zdeferd-arm
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

# Segments and messages (features/): read at the first call that says something.
zf::segment::start zf::segment::end zf::segment::anchor _zsh_perf_segment_start _zsh_perf_segment_end() {
  [[ -z ${PERF_SEGMENT_LOG-} ]] || { builtin source $_zdeferd_root/features/segments.zsh && $0 "$@" }
  return 0
}
zf::log zf::warn zf::err() {
  builtin source $_zdeferd_root/features/gate.zsh && $0 "$@"
  return 0
}

builtin autoload -Uz $_zdeferd_root/functions/{zdeferd-{add,arm,check,eval,help,inside,kick,refuse,tick,verb},zdeferd_plugin_unload,zf::idle::{register,run_if_ready}}
fpath+=($_zdeferd_root/functions)
# With -c there is no prompt, and `zle` would load a module for nothing.
[[ ! -o interactive ]] || (( $+ZSH_EXECUTION_STRING )) || .zdeferd-soon zdeferd-kick
