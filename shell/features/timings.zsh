# Timings of features, where ZSH_FEATURE_TELEMETRY asks for them. Sourced at the first call.
#
# The registry calls .zdeferd-timing before an init, and, where that is 0, .zdeferd-timed behind it:
#
#     local begun=
#     [[ -z ${ZSH_FEATURE_TELEMETRY-} ]] || { .zdeferd-timing && begun=${(%)_zdeferd_clock} }
#     …
#     [[ -z $begun ]] || .zdeferd-timed $name $begun
#
# So without it no clock is read, no key set and no byte written.

(( ${+ZSH_FEATURE_TIMINGS_SYNC} )) || typeset -gA ZSH_FEATURE_TIMINGS_SYNC
(( ${+_zdeferd_timed} )) || typeset -gi _zdeferd_timed  # objects of this shell in the sidecar

# 0 where timings are wanted.
.zdeferd-timing() {
  [[ ${(L)ZSH_FEATURE_TELEMETRY-} == (1|true|yes|on|enable|enabled|debug) ]]
}

# Records that the init of the feature $1 has ended, which began at $2 (ns).
.zdeferd-timed() {
  local now=${(%)_zdeferd_clock}
  local -i ms="now > $2 ? (now - $2) / 1000000 : 0"
  ZSH_FEATURE_TIMINGS_SYNC[$1]=$ms
  (( $+functions[.zdeferd-measured] )) || builtin source $_zdeferd_root/features/segments.zsh || return 0
  [[ -z ${PERF_SEGMENT_LOG-} || -n ${_zdeferd_anchors[feature/$1]-} ]] ||
    .zdeferd-measured feature/$1 $2 $now core
  [[ ${ZSH_LOG_STRUCTURED-} == 1 ]] || return 0
  .zdeferd-sidecar
  .zdeferd-append "$_zdeferd_sidecar[2]" '{"type":"feature_timing","feature":"'$1'","ms":'$ms',"phase":"init","sequence":'$(( ++_zdeferd_timed ))',"version":1,"ts_epoch_ms":'${now[1,-7]}'}'
  return 0
}
