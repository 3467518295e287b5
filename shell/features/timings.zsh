# Timings of features, where ZSH_FEATURE_TELEMETRY asks for them. Sourced at the first call.
#
# functions/zdeferd-feature-turns reads the clock around each init; without that word it reads none, and
# no key is set and no byte written. Lines are written when the last init of a phase has ended: the files
# are opened once, and each line is one write.

(( ${+_zdeferd_timed} )) || typeset -gi _zdeferd_timed  # objects of this shell in the sidecar
(( $+functions[.zdeferd-append] )) || builtin source $_zdeferd_root/features/segments.zsh

# Records inits that have ended. $1: of each two words, a feature and its end (ns); it has begun where the
# one before ended. The feature `-` is none.
.zdeferd-timed() {
  builtin trap - DEBUG ZERR
  [[ ${(t)ZSH_FEATURE_TIMINGS_SYNC} == association ]] || zdeferd-feature-mend ZSH_FEATURE_TIMINGS_SYNC
  local name label now begun=0 phase plain= sample=${PERF_SAMPLE_CONTEXT:-unknown}
  local -i ms
  local -a lines objects
  [[ $sample == [A-Za-z0-9._-]## && $#sample -lt 65 ]] || sample=unknown
  [[ -z ${PERF_SEGMENT_LOG-} || -n ${ZSH_SEGMENTS_DISABLE-} || ${ZSH_LOG_STRUCTURED-} == 1 ]] || plain=1
  for name now in ${(s: :)1}; do
    label=feature/$name ms="now > begun ? (now - begun) / 1000000 : 0" begun=$now
    [[ $name != - ]] || continue
    # The usual case: one command.
    [[ -n $plain && $#label -lt 65 && ! -v _zdeferd_anchors[$label] ]] &&
      ZSH_FEATURE_TIMINGS_SYNC+=("$name" $ms) _zdeferd_anchors+=("$label" $now) _zdeferd_segments+=("$label" done) \
        lines+=("SEGMENT name=$label ms=$ms phase=core sample=$sample") && continue
    ZSH_FEATURE_TIMINGS_SYNC+=("$name" $ms)
    if [[ -n ${PERF_SEGMENT_LOG-} && -z ${_zdeferd_anchors[$label]-} ]] &&
      { [[ $#label -lt 65 && -z ${ZSH_SEGMENTS_DISABLE-} ]] || .zdeferd-label }; then
      _zdeferd_anchors+=("feature/$name" $now) _zdeferd_segments+=("$label" done)
      lines+=("SEGMENT name=$label ms=$ms phase=core sample=$sample")
      [[ ${ZSH_LOG_STRUCTURED-} != 1 ]] ||
        objects+=("{\"type\":\"segment\",\"name\":\"$label\",\"ms\":$ms,\"phase\":\"core\",\"sample\":\"$sample\",\"ts\":$(( now / 1000000 ))}")
    fi
    [[ ${ZSH_LOG_STRUCTURED-} != 1 ]] ||
      objects+=("{\"type\":\"feature_timing\",\"feature\":\"$name\",\"ms\":$ms,\"phase\":\"init\",\"sequence\":$(( ++_zdeferd_timed )),\"version\":1,\"ts_epoch_ms\":$(( now / 1000000 ))}")
  done
  .zdeferd-append "${PERF_SEGMENT_LOG-}" $lines
  [[ ${ZSH_LOG_STRUCTURED-} == 1 ]] || return 0
  .zdeferd-sidecar
  .zdeferd-append "$_zdeferd_sidecar" $objects
}
