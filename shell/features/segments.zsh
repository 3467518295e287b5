# Segments: timing probes, one line each in the shared log (docs/telemetry.md has the names).
#
# What is usual is in zf::segment::start and zf::segment::end of defer/register.zsh. This file is sourced for
# the rest, under the plugin's sticky options. No process, no module: the clock is a prompt escape. Each
# command costs as much as its system calls, so there are few.
#
# State: `_zdeferd_segments` has of each label the instant of its start (ns: 19 digits, fewer where the
# clock is before 2001; behind `inline` where that is its sample) and the phase; `done` once its line is written:
# a letter sorts behind all instants. `_zdeferd_anchors` has the instants of anchors, `_zdeferd_sidecar` the
# sidecar's path, found for the names in `_zdeferd_sidecar_of`. `_zdeferd_torn` is a newline after a full disk has
# cut a line short: the next one must not be glued to the piece.

(( ${+_zdeferd_anchors} )) || typeset -gA _zdeferd_anchors
(( ${+_zdeferd_torn} )) || typeset -g _zdeferd_torn
(( ${+_zdeferd_sidecar} )) || typeset -g _zdeferd_sidecar _zdeferd_sidecar_of

# zf::segment::start for words that are not as usual.
.zdeferd-begin() {
  local label=$1 phase=${2:-core} mark=
  [[ $3 != inline ]] || mark='inline '
  .zdeferd-label || return 0
  [[ -v _zdeferd_segments[$label] ]] || _zdeferd_segments+=("$label" "$mark${(%)_zdeferd_clock} $phase")
}

# The same for zf::segment::end. $3: an instant in place of now, which is $4. $5: the state of the label. $6: 1
# where its line is written, and only that of the sidecar is not.
.zdeferd-close() {
  local label=$1 now=$4 begun=${5%% *} phase=${2:-${5#* }} sample=${PERF_SAMPLE_CONTEXT:-unknown} torn written=$6
  [[ -z $3$_zdeferd_torn && $begun == <-> && $now -gt $begun && $sample == [A-Za-z0-9._-]## && $#sample -lt 65 &&
    $phase == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] ||
    .zdeferd-fit "$2" "$3" || return 0
  # A line that could not be written is not written again.
  [[ -n $written || $_zdeferd_segments[$label] != done ]] || { .zdeferd-torn; written=1 }
  _zdeferd_segments+=("$label" done)
  [[ ${ZSH_LOG_STRUCTURED-} != 1 || $_zdeferd_sidecar_of == $PERF_SEGMENT_LOG:$PERF_SEGMENT_JSON_LOG ]] ||
    .zdeferd-sidecar
  {
    # A FIFO would wait for a reader; what root makes in another user's home (`sudo -s`), he cannot write.
    [[ -n $written || -h $PERF_SEGMENT_LOG || ! -f $PERF_SEGMENT_LOG && ( -e $PERF_SEGMENT_LOG || ! -O $HOME ) ]] ||
      builtin print -r -- "${torn}SEGMENT name=$label ms=$(( (now - begun) / 1000000 )) phase=$phase sample=$sample" >>$PERF_SEGMENT_LOG || .zdeferd-torn
    [[ ${ZSH_LOG_STRUCTURED-} != 1 || -h $_zdeferd_sidecar ||
      ! -f $_zdeferd_sidecar && ( -e $_zdeferd_sidecar || ! -O $HOME ) ]] ||
      builtin print -r -- "${torn}{\"type\":\"segment\",\"name\":\"$label\",\"ms\":$(( (now - begun) / 1000000 )),\"phase\":\"$phase\",\"sample\":\"$sample\",\"ts\":${now[1,-7]}}" >>"$_zdeferd_sidecar" || .zdeferd-torn
  } 2>/dev/null
  return 0
}

# Makes of `label` and `phase` in its caller what may be written. 1: there is no label, or a word of
# ZSH_SEGMENTS_DISABLE, each a pattern, is for it.
.zdeferd-label() {
  builtin setopt multibyte  # a character becomes one `_`
  label=${${(L)${label//I/i}}//[^a-z0-9._:\/+-]/_}
  label=${${label##[^a-z0-9]#}[1,64]}
  [[ $phase == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] || phase=core
  local word off=${ZSH_SEGMENTS_DISABLE-}
  for word in ${(s: :)off//[,[:space:]]/ }; do
    { [[ $label != ${~word} ]] || label= } always { TRY_BLOCK_ERROR=0 } 2>/dev/null  # a bad pattern
  done
  [[ -n $label ]]
}

# What .zdeferd-close writes: from what it was given to `label`, `begun`, `phase`, `sample`. $1: a phase in
# place of the first; $2: an instant in place of now. 1: nothing is to be written.
.zdeferd-fit() {
  ZSH_SEGMENTS_DISABLE= .zdeferd-label || return 1
  begun=${_zdeferd_segments[$label]-}
  [[ $begun == (|'inline ')<->' '* ]] || return 1
  [[ $begun != inline* ]] || sample=inline
  begun=${begun#inline }
  phase=${1:-${begun#* }}
  [[ $phase == (pre_plugin|post_plugin|prompt|postprompt|core|idle) ]] || phase=core
  [[ $sample == [A-Za-z0-9._-]## && $#sample -lt 65 ]] || sample=unknown
  begun=${begun%% *} torn=$_zdeferd_torn _zdeferd_torn=
  [[ $2 != <1-> ]] || now=$2
  [[ $now -gt $begun ]] || begun=$now  # the clock was set back
}

# Appends lines, $2..., to the file $1, each with one write; silent where that cannot be.
.zdeferd-append() {
  local line file=$1
  shift
  [[ -z $file || -h $file || ! -f $file && ( -e $file || ! -O $HOME ) ]] || (( ! $# )) || {
    {
      [[ -z $_zdeferd_torn ]] || { builtin print -rn -- "$_zdeferd_torn" && _zdeferd_torn= }
      for line; do builtin print -r -- "$_zdeferd_torn$line" || .zdeferd-torn; done
    } >>$file
  } 2>/dev/null
}

# A line could not be written. Where the file can be, a full disk or a quota may have taken a part of it.
.zdeferd-torn() {
  [[ ! -f $PERF_SEGMENT_LOG || ! -w $PERF_SEGMENT_LOG ]] || _zdeferd_torn=$'\n'
}

# Sets `_zdeferd_sidecar_of`, the names from which its path is derived, as telemetry/projection.py does,
# and `_zdeferd_sidecar`, the path; empty where there is none.
.zdeferd-sidecar() {
  local log=${PERF_SEGMENT_LOG-} file=${PERF_SEGMENT_JSON_LOG-}
  if [[ -z $file || $file == $log || $file -ef $log ]]; then
    file=$log
    [[ ${log##*/} != .#[^.]*.* ]] || file=${log%.*}
    [[ $log != $file.jsonl ]] || file=$log
    file+=.jsonl
    [[ $log != /(dev|proc)/* || $log == /dev/shm/* ]] || file=  # beside it is no place for a file
  fi
  _zdeferd_sidecar_of=$log:${PERF_SEGMENT_JSON_LOG-} _zdeferd_sidecar=$file
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
