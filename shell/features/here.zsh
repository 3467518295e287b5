# Deferred work that runs in this shell: one function a turn, once ZLE waits for keys, and keys first.
# Sourced when the first such feature is due, under the plugin's sticky options; the functions of
# features run in functions/zdeferd-feature-here. No work runs during a visit: what it starts would
# inherit the visit's descriptor. So the end of each visit arms it.

# Has ZLE call zdeferd-feature-here as soon as it waits for keys; as .zdeferd-soon, but a visit does not
# take the place.
.zdeferd-feature-arm() {
  [[ -o interactive && $ZSH_SUBSHELL == 0 ]] && (( ! $+ZSH_EXECUTION_STRING )) || return 0
  local -i number=800
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number zdeferd-feature-here
}

# Sets `_zdeferd_name`, `_zdeferd_begun` and `_zdeferd_prompts` of zdeferd-feature-here to the work whose
# turn it is; 1 where there is none now: a key waits, or a visit is under way, whose end arms again.
.zdeferd-feature-next() {
  builtin trap - DEBUG ZERR
  if [[ -n ${_zdeferd[fd]-} ]] || (( ! $#_zdeferd_feature_here )); then
    builtin zle -F $1
    return 1
  fi
  .zdeferd-typed && return 1
  _zdeferd_name=$_zdeferd_feature_here[1]
  shift _zdeferd_feature_here
  (( $#_zdeferd_feature_here )) || builtin zle -F $1
  _zdeferd_prompts=$PROMPT$'\0'$RPROMPT _zdeferd_begun=${(%)_zdeferd_clock}
}

# The work of zdeferd-feature-here has ended; says so to the daemon once all is done.
.zdeferd-feature-reached() {
  builtin trap - DEBUG ZERR
  local -i ms="(${(%)_zdeferd_clock} - _zdeferd_begun) / 1000000"
  local rc=${_zdeferd_result:-0}
  [[ $rc == <0-255> ]] || rc=255
  _zdeferd_done+=(done id=${_zdeferd_name//_/-} ms=$(( ms < 0 ? 0 : ms )) rc=$rc)
  [[ $_zdeferd_prompts == $PROMPT$'\0'$RPROMPT ]] || builtin zle reset-prompt
  (( $#_zdeferd_feature_here || $+_zdeferd[given_up] )) || zdeferd-arm
}
