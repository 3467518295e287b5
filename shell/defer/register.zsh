# Registration, and what begins the first visit. All of it is on the prompt's path, this text
# included: no process, no file but this one. functions/ is loaded at need, visit.zsh after the prompt.

[[ ! -v _zdeferd_armed ]] || return 0  # sourced twice

# The clock is a prompt escape: ns since the epoch, without a module. It is read here, because a .zshrc
# may name its log later (prompt_ready). The first look reads the time zone: 8 system calls.
typeset -g _zdeferd_clock='%D{%s%9.}' _zdeferd_born=${(%):-%D{%s%9.}} _zdeferd_queue=() _zdeferd_armed=2 _zdeferd_version=0.2.0
typeset -gA _zdeferd _zdeferd_segments

# Few commands: each costs three system calls. What is usual is one list, at whose end debug_before_cmd is on:
# it was off at the start, so no DEBUG trap fires behind or before it. `trap - DEBUG ZERR` costs twice as much.
# The pattern is zdeferd-check's rule.
zf::defer::register() {
  [[ $# -gt 2 && ( $3 == postprompt || $3 == idle ) && $1 == [a-z0-9][a-z0-9-](#c0,63) && -n $2 &&
    $_zdeferd_armed != 0 ]] && _zdeferd_queue+=(defer$'\0'"${(pj:\0:)@}") && builtin setopt debug_before_cmd ||
    { builtin trap - DEBUG ZERR; zdeferd-register "$@" }
}

# Has ZLE call the function $1 as soon as it waits for keys: it calls at once for a descriptor number
# that is not open. Nothing is opened, and a hook is not needed. After a function that `sched` called,
# ZLE looks at no new number until a key comes; so the timer calls instead. The options are those of its callers.
.zdeferd-soon() {
  _zdeferd[kick]=900 _zdeferd[soon]=$1
  while [[ -e /dev/fd/$_zdeferd[kick] ]]; do (( ++_zdeferd[kick] )); done
  builtin zle -F $_zdeferd[kick] $1
  [[ $zsh_eval_context[1] != sched ]] || zdeferd-tick later
}

# Loads and calls zdeferd-kick. Where its file is gone, ZLE would call it, and print the error, for ever; so it would
# in a restricted shell, in which nothing is opened.
.zdeferd-kick() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i called=0
  {
    [[ -o restricted ]] || { zdeferd-kick $1 && called=1 } 2>/dev/null
  } always {
    (( called )) || builtin zle -F $1
  }
  return 0
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

# Segments, as features/segments.zsh says: what is usual is here and made like zf::defer::register; that file
# is read for the rest. $4 is now, $5 the state of the label, because a local costs more than a word.
zf::segment::start _zsh_perf_segment_start() {
  [[ -n $PERF_SEGMENT_LOG && ( -z $2 || $2 == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ) &&
    -z $3$ZSH_SEGMENTS_DISABLE && $1 == [a-z0-9][a-z0-9._:/+-](#c0,63) && ! -v _zdeferd_segments[$1] ]] &&
    _zdeferd_segments+=("$1" "${(%)_zdeferd_clock} ${2:-core}") && builtin setopt debug_before_cmd ||
    [[ -z $PERF_SEGMENT_LOG ]] || { builtin trap - DEBUG ZERR; .zdeferd-begin "$@" }
}
# $6: 1 once the line is written, where the sidecar's is to follow.
zf::segment::end _zsh_perf_segment_end() {
  [[ -n $PERF_SEGMENT_LOG ]] && 4=${(%)_zdeferd_clock} 5=$_zdeferd_segments[$1] &&
    [[ -z $2$3$_zdeferd_torn && $4 > $5 && $#4 == 19 && $#5 > 23 &&
      ( -z $PERF_SAMPLE_CONTEXT || $PERF_SAMPLE_CONTEXT == [A-Za-z0-9._-](#c1,64) ) &&
      ( -f $PERF_SEGMENT_LOG || ! -e $PERF_SEGMENT_LOG && -O $HOME ) && ! -h $PERF_SEGMENT_LOG ]] && {
      _zdeferd_segments+=("$1" done) && builtin print -r -- \
        "SEGMENT name=$1 ms=$(( ($4 - ${5[1,19]}) / 1000000 )) phase=${5[21,-1]} sample=${PERF_SAMPLE_CONTEXT:-unknown}" \
        >>$PERF_SEGMENT_LOG && [[ $ZSH_LOG_STRUCTURED != 1 || -z ${6::=1} ]] && builtin setopt debug_before_cmd || {
        builtin trap - DEBUG
        if [[ $6 == 1 && $_zdeferd_sidecar_of == $PERF_SEGMENT_LOG:$PERF_SEGMENT_JSON_LOG &&
          -f $_zdeferd_sidecar && ! -h $_zdeferd_sidecar ]]; then
          builtin print -r -- '{"type":"segment","name":"'$1'","ms":'$(( ($4 - ${5[1,19]}) / 1000000 ))',"phase":"'${5[21,-1]}'","sample":"'${PERF_SAMPLE_CONTEXT:-unknown}'","ts":'${4[1,-7]}'}' \
            >>$_zdeferd_sidecar || .zdeferd-torn
        else
          .zdeferd-close "$@"
        fi
      }
    } 2>/dev/null || [[ -z $PERF_SEGMENT_LOG ]] || { builtin trap - DEBUG ZERR; .zdeferd-close "$@" }
}
.zdeferd-begin .zdeferd-close zf::segment::anchor() {
  [[ -z $PERF_SEGMENT_LOG ]] ||
    { builtin trap - DEBUG ZERR; builtin source $_zdeferd_root/features/segments.zsh && $0 "$@" }
  return 0
}
# Messages: read at the first call.
zf::log zf::warn zf::err() {
  builtin source $_zdeferd_root/features/gate.zsh && $0 "$@"
  return 0
}

builtin autoload -Uz $_zdeferd_root/functions/{zdeferd-{arm,eval,kick,register,tick,verb},zdeferd_plugin_unload,zf::idle::{register,run_if_ready}}
fpath+=($_zdeferd_root/functions)
# With -c there is no prompt, and `zle` would load a module for nothing. One that is exported may be another shell's.
[[ ! -o interactive || ${(t)ZSH_EXECUTION_STRING} == scalar ]] || .zdeferd-soon .zdeferd-kick
