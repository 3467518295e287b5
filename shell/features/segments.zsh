# Segments: timing probes, one line each in the shared log (docs/telemetry.md has the names).
#
# Sourced at the first call with a log (defer/register.zsh has the stubs), under the plugin's sticky
# options. No process, no module: the clock is a prompt escape. In `start` and `end` each command
# costs as much as its system calls, so there are few, and no pattern is cut off a text: what is usual
# passes one test, and .zdeferd-begin and .zdeferd-close do the rest.
#
# State: `_zdeferd_segments` has of each label the instant of its start (19 digits, ns), the phase,
# and `inline` where that is its sample; `-` once its line is written. `_zdeferd_anchors` has the
# instants of anchors, `_zdeferd_sidecar` the sidecar's path. `_zdeferd_torn` is a newline after a
# full disk has cut a line short: the next one must not be glued to the piece.

(( ${+_zdeferd_segments} )) || typeset -gA _zdeferd_segments _zdeferd_anchors
(( ${+_zdeferd_torn} )) || typeset -g _zdeferd_torn
(( ${+_zdeferd_sidecar} )) || typeset -ga _zdeferd_sidecar

zf::segment::start _zsh_perf_segment_start() {
  [[ -z ${PERF_SEGMENT_LOG-} ]] || {
    builtin trap - DEBUG ZERR
    [[ $2 == (|pre_plugin|post_plugin|prompt|postprompt|core|idle) &&
      $1 == [a-z0-9][a-z0-9._:/+-]# && $#1 -lt 65 && -z $3${ZSH_SEGMENTS_DISABLE-} ]] ||
      { .zdeferd-begin "$@"; return 0 }
    [[ -v _zdeferd_segments[$1] ]] || _zdeferd_segments+=("$1" "${(%)_zdeferd_clock} ${2:-core}")
  }
}

zf::segment::end _zsh_perf_segment_end() {
  [[ -z ${PERF_SEGMENT_LOG-} ]] || {
    builtin trap - DEBUG ZERR
    local now=${(%)_zdeferd_clock} begun=${_zdeferd_segments[$1]-}
    [[ -z $2$3$_zdeferd_torn$PERF_SAMPLE_CONTEXT && $now > $begun && $begun == <->\ [a-z_]# &&
      -f $PERF_SEGMENT_LOG && ! -h $PERF_SEGMENT_LOG && ( ${ZSH_LOG_STRUCTURED-} != 1 ||
      $_zdeferd_sidecar[1] == $PERF_SEGMENT_LOG:$PERF_SEGMENT_JSON_LOG &&
      -f $_zdeferd_sidecar[2] && ! -h $_zdeferd_sidecar[2] ) ]] || { .zdeferd-close "$@"; return 0 }
    _zdeferd_segments+=("$1" -)
    {
      builtin print -r -- "SEGMENT name=$1 ms=$(( (now - $begun[1,19]) / 1000000 )) phase=$begun[21,-1] sample=unknown" \
        >>$PERF_SEGMENT_LOG || .zdeferd-torn
      [[ ${ZSH_LOG_STRUCTURED-} != 1 ]] ||
        builtin print -r -- "{\"type\":\"segment\",\"name\":\"$1\",\"ms\":$(( (now - $begun[1,19]) / 1000000 )),\"phase\":\"$begun[21,-1]\",\"sample\":\"unknown\",\"ts\":$now[1,-7]}" >>$_zdeferd_sidecar[2] || .zdeferd-torn
    } 2>/dev/null
  }
}

# zf::segment::start for words that are not as usual.
.zdeferd-begin() {
  local label=$1 phase=${2:-core}
  .zdeferd-label $3 || return 0
  [[ -v _zdeferd_segments[$label] ]] || _zdeferd_segments+=("$label" "${(%)_zdeferd_clock} $phase")
}

# The same for zf::segment::end, whose locals `now` and `begun` it takes.
.zdeferd-close() {
  local label=$1 phase=${2:-$begun[21,-1]} sample=${PERF_SAMPLE_CONTEXT:-unknown} torn
  begun=$begun[1,19]
  [[ -z $3$_zdeferd_torn && $begun == <-> && $now > $begun && $sample == [A-Za-z0-9._-]## && $#sample -lt 65 &&
    $phase == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] ||
    .zdeferd-fit "$3" || return 0
  _zdeferd_segments+=("$label" -)
  [[ ${ZSH_LOG_STRUCTURED-} != 1 || $_zdeferd_sidecar[1] == $PERF_SEGMENT_LOG:$PERF_SEGMENT_JSON_LOG ]] ||
    .zdeferd-sidecar
  {
    [[ ! -f $PERF_SEGMENT_LOG && -e $PERF_SEGMENT_LOG || -h $PERF_SEGMENT_LOG ]] ||  # a FIFO would wait for a reader
      builtin print -r -- "${torn}SEGMENT name=$label ms=$(( (now - begun) / 1000000 )) phase=$phase sample=$sample" >>$PERF_SEGMENT_LOG || .zdeferd-torn
    [[ ${ZSH_LOG_STRUCTURED-} != 1 || ! -f $_zdeferd_sidecar[2] && -e $_zdeferd_sidecar[2] || -h $_zdeferd_sidecar[2] ]] ||
      builtin print -r -- "${torn}{\"type\":\"segment\",\"name\":\"$label\",\"ms\":$(( (now - begun) / 1000000 )),\"phase\":\"$phase\",\"sample\":\"$sample\",\"ts\":${now[1,-7]}}" >>"$_zdeferd_sidecar[2]" || .zdeferd-torn
  } 2>/dev/null
}

# Makes of `label` and `phase` in its caller what may be written. 1: there is no label, or a word of
# ZSH_SEGMENTS_DISABLE, each a pattern, is for it. $1: the sample that goes with it.
.zdeferd-label() {
  builtin setopt multibyte  # a character becomes one `_`
  label=${${(L)${label//I/i}}//[^a-z0-9._:\/+-]/_}
  label=${${label##[^a-z0-9]#}[1,64]}
  [[ $phase == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] || phase=core
  [[ $1 != inline ]] || phase+=' inline'
  local word off=${ZSH_SEGMENTS_DISABLE-}
  for word in ${(s: :)off//[,[:space:]]/ }; do
    { [[ $label != ${~word} ]] || label= } always { TRY_BLOCK_ERROR=0 } 2>/dev/null  # a bad pattern
  done
  [[ -n $label ]]
}

# What .zdeferd-close writes: from what it was given to `label`, `begun`, `phase`, `sample`. $1: an
# instant in place of now. 1: nothing is to be written.
.zdeferd-fit() {
  local given=$phase
  phase=core
  ZSH_SEGMENTS_DISABLE= .zdeferd-label || return 1
  begun=${_zdeferd_segments[$label]-}
  [[ $begun == <->' '* ]] || return 1
  phase=${begun[21,-1]% inline}
  [[ $begun != *' inline' ]] || sample=inline
  [[ $given == (|pre_plugin|post_plugin|prompt|postprompt|core|idle|*' inline') ]] || phase=core
  [[ $given != (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] || phase=$given
  [[ $sample == [A-Za-z0-9._-]## && $#sample -lt 65 ]] || sample=unknown
  begun=$begun[1,19] torn=$_zdeferd_torn _zdeferd_torn=
  [[ $1 != <1-> ]] || now=$1
  [[ $now > $begun ]] || begun=$now  # the clock was set back
}

# Appends lines, $2..., to the file $1, each with one write; silent where that cannot be.
.zdeferd-append() {
  local line file=$1
  shift
  [[ -z $file || ! -f $file && -e $file || -h $file ]] || (( ! $# )) || {
    {
      [[ -z $_zdeferd_torn ]] || { builtin print -rn -- "$_zdeferd_torn" && _zdeferd_torn= }
      for line; do builtin print -r -- "$_zdeferd_torn$line" || .zdeferd-torn; done
    } >>$file
  } 2>/dev/null
}

# A line could not be written. A full disk, or a quota, may have taken a part of it.
.zdeferd-torn() {
  [[ $ERRNO != (28|69|122) ]] || _zdeferd_torn=$'\n'
}

# Sets `_zdeferd_sidecar`: the names from which its path is derived, as telemetry/projection.py does,
# and the path; empty where there is none.
.zdeferd-sidecar() {
  local log=${PERF_SEGMENT_LOG-} file=${PERF_SEGMENT_JSON_LOG-}
  if [[ -z $file || $file == $log || $file -ef $log ]]; then
    file=$log
    [[ ${log##*/} != .#[^.]*.* ]] || file=${log%.*}
    [[ $log != $file.jsonl ]] || file=$log
    file=${${log:#/dev/null}:+$file.jsonl}
  fi
  _zdeferd_sidecar=("$log:${PERF_SEGMENT_JSON_LOG-}" "$file")
}

zf::segment::anchor() {
  [[ -z ${PERF_SEGMENT_LOG-} ]] || {
    builtin trap - DEBUG ZERR
    local now=${(%)_zdeferd_clock} since
    case $1 in
      (pre_plugin_start) since=$now ;;
      (pre_plugin_total) since=${_zdeferd_anchors[pre_plugin_start]-} ;;
      (post_plugin_total)
        since=${_zdeferd_anchors[pre_plugin_total]-${_zdeferd_anchors[pre_plugin_start]-}} ;;
    esac
    [[ -z $since || -n ${_zdeferd_anchors[$1]-} ]] || .zdeferd-measured $1 $since $now ${1%_*}
  }
}

# Writes the segment $1, from $2 to $3 (ns), of the phase $4.
.zdeferd-measured() {
  local label=$1 phase=$4
  .zdeferd-label || return 0
  _zdeferd_anchors[$1]=$3 _zdeferd_segments[$label]="$2 $phase"
  zf::segment::end $label $phase $3
}

# The shim's own segment: ZLE waited for keys at $1 (ns). $2: when the shim was sourced.
.zdeferd-prompt-ready() {
  .zdeferd-measured prompt_ready ${_zdeferd_anchors[pre_plugin_start]-$2} $1 prompt
}
