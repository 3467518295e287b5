# Messages: what a visit says, from the queue to bytes.
#
# Sourced by visit.zsh. A message is a list of frames: hello, context, the functions that
# travel, the jobs, and in the last one `postprompt` (docs/protocol.md). It is delivered
# whole or not at all, so each holds all that its jobs need and at most 64 KiB; a job
# that would not fit into one on its own is reported as `oversize`.
#
# Packing keeps what it builds in locals of .zdeferd-pack: `frames` and `bytes` (of the
# message at hand), `carried` (names of the functions in it), `plain` and `full` (the
# context without and with what zsh code needs), `bodies` and `calls` (by function name).

typeset -gi _zdeferd_limit=65536

# Packs the queue, and what else is to be said, into `_zdeferd_outbox`.
.zdeferd-pack() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local -a frames plain full job roots words known=(${(k)functions})
  local -A carried bodies calls
  local -i bytes code=0 at=1 count
  local kind
  [[ -n ${_zdeferd[nonce]-} ]] || _zdeferd[nonce]=$$-${(%):-%D{%s.%9.}}
  .zdeferd-context
  .zdeferd-begin
  while (( at < $#_zdeferd_queue )); do
    kind=$_zdeferd_queue[at] count=$_zdeferd_queue[at+1]
    words=("${(@)_zdeferd_queue[at+2,at+1+count]}")
    at+=$(( count + 2 ))
    .zdeferd-declare-$kind && .zdeferd-enclose
  done
  _zdeferd_queue=()
  if (( $#frames || ! $+_zdeferd[prompted] )); then
    frames+=(postprompt)
    _zdeferd[prompted]=1
  fi
  if [[ -n ${_zdeferd[idle]-} ]]; then
    frames+=(idle)
    _zdeferd[idle]=
  fi
  (( $#frames )) && .zdeferd-finish
  return 0
}

.zdeferd-begin() {
  builtin emulate -L zsh -o warn_create_global
  frames=() carried=() code=0
  bytes=256  # hello, postprompt, idle, with room for the longest nonce
  .zdeferd-measure $full
}

# Adds what the frames in the arguments take on the wire to `bytes`.
.zdeferd-measure() {
  builtin emulate -L zsh -o warn_create_global
  local frame
  for frame; do
    (( bytes += $#frame + ($#frame < 256 ? 2 : 9) ))
  done
}

# Encodes the message at hand: each frame is flags, length, bytes (ZMTP 3.0).
.zdeferd-finish() {
  builtin emulate -L zsh -o warn_create_global
  local frame out more=$'\1' long=$'\3'
  local -a message=(hello protocol=1 nonce=$_zdeferd[nonce] seq=$(( ++_zdeferd[seq] ))
    version=$_zdeferd_version)
  local -i left n high low
  (( code )) && message+=($full) || message+=($plain)
  message+=("${(@)frames}")
  left=$#message
  for frame in "${(@)message}"; do
    (( --left )) || { more=$'\0' long=$'\2' }
    n=$#frame
    if (( n < 256 )); then
      out+=$more${(#)n}$frame
    else
      (( high = n >> 16, low = n >> 8 & 255, n &= 255 ))
      out+=$long$'\0\0\0\0\0'${(#)high}${(#)low}${(#)n}$frame
    fi
  done
  _zdeferd_outbox+=("$out")
}

# zf::defer::register's words: into `job` and `roots`; 1 where it is not to be sent.
.zdeferd-declare-defer() {
  builtin emulate -L zsh -o warn_create_global
  local key=$words[3]:$words[1]
  [[ $words[3] == idle && ${ZSH_IDLE_ENABLE-} == 0 ]] && return 1
  [[ -n ${_zdeferd_ids[$key]-} ]] && return 1
  _zdeferd_ids[$key]=1
  job=(job "id=$words[1]" "call=${(q)words[2]}" "on=$words[3]" "description=${words[4,-1]}")
  roots=("$words[2]")
  code=1
}

# The words that `zdefer add` left: fields, then `--`, then the call.
.zdeferd-declare-add() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local -i split=$words[(ie)--]
  local -a call=("${(@)words[split+1,-1]}") env reply
  local word value
  job=(job) roots=()
  for word in "${(@)words[1,split-1]}"; do
    case $word in
      (env=*) value=${word#*=}; (( ${(P)+value} )) && env+=("$value=${(P)value}") ;;
      (function=*) roots+=("${word#*=}") ;;
      (*) job+=("$word") ;;
    esac
  done
  [[ ${job[(r)on=*]} == on=idle && ${ZSH_IDLE_ENABLE-} == 0 ]] && return 1
  (( $#env )) && job+=("env=${(pj:\0:)env}")
  job+=("call=${(pj:\0:)call}")
  if (( $#call == 1 )); then
    .zdeferd-words "$call[1]"
    roots+=($reply)
    code=1
  elif (( $+functions[$call[1]] )); then
    roots+=("$call[1]")
    code=1
  fi
  (( ! $#roots )) || code=1
}

# Adds `job`, with the functions it needs, to the message at hand or to a new one.
.zdeferd-enclose() {
  builtin emulate -L zsh -o warn_create_global
  local -a reply needed new
  local name
  local -i before=$bytes start travels=$code
  .zdeferd-closure
  needed=("${(@)reply}")
  (( $#needed )) && job+=("functions=${(pj:\0:)needed}")
  for name in "${(@)needed}"; do
    (( $+carried[$name] )) || new+=(function "name=$name" "body=$bodies[$name]")
  done
  .zdeferd-measure "${(@)job}" "${(@)new}"
  if (( bytes > _zdeferd_limit && $#frames )); then
    bytes=$before
    .zdeferd-finish
    .zdeferd-begin
    code=$travels
    before=$bytes new=()
    for name in "${(@)needed}"; do
      new+=(function "name=$name" "body=$bodies[$name]")
    done
    .zdeferd-measure "${(@)job}" "${(@)new}"
  fi
  if (( bytes > _zdeferd_limit )); then
    job=(oversize "$job[2]" "bytes=$(( bytes - before ))") new=() needed=()
    bytes=$before
    .zdeferd-measure "${(@)job}"
  fi
  for name in "${(@)needed}"; do carried[$name]=1; done
  frames+=("${(@)new}" "${(@)job}")
}

# Sets `reply` to `roots` and all functions that they call, as far as text can tell.
.zdeferd-closure() {
  builtin emulate -L zsh -o warn_create_global
  local -a todo=("${(@)roots}")
  local -A seen
  local name
  reply=()
  while (( $#todo )); do
    name=$todo[1]
    shift todo
    (( $+seen[$name] || ! $+functions[$name] )) && continue
    seen[$name]=1
    reply+=("$name")
    (( $+bodies[$name] )) || .zdeferd-body "$name"
    todo+=("${(@ps:\0:)calls[$name]}")
  done
}

.zdeferd-body() {
  builtin emulate -L zsh -o warn_create_global
  local -a reply
  local body=$functions[$1]
  [[ $body == 'builtin autoload -X'* ]] && .zdeferd-resolve $1
  bodies[$1]=$body
  .zdeferd-words "$body"
  calls[$1]=${(pj:\0:)reply}
}

# Sets `reply` to the functions whose names stand in $1. Splitting at blanks and
# punctuation finds calls inside $(…), quotes and here-documents, which ${(z)…} does not.
.zdeferd-words() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local IFS=$' \t\n;&|()<>{}[]$"\'`=!,\\'
  local -aU found=(${=1})
  reply=(${found:*known})
}

# An autoload stub: into `body`, its text, or a stub for the job to resolve from fpath.
# zsh's own functions stay stubs: they load what they need, and there are a thousand.
# So does what has no file: `autoload +X` would not fail only here, but break the stub.
.zdeferd-resolve() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local stub=$body file=${functions_source[$1]-} own
  body='builtin autoload -XUz'
  if [[ -n $file ]]; then
    body+=" ${(q)file:h}"  # autoloaded by its path
  else
    file=(${^fpath}/$1(N-.))
    file=${file[1]-}
  fi
  [[ -r $file ]] || return 0
  for own in ${^fpath}/compinit(N:h:h); do
    [[ $file == $own/* ]] && return 0
  done
  (( $_zdeferd_options[(Ie)kshautoload] )) && return 0
  [[ $stub == *-XU* ]] || (( ! $_zdeferd_options[(Ie)aliases] )) || setopt aliases
  builtin autoload +X $1 >/dev/null 2>&1 && body=$functions[$1]
  return 0
}

# Sets `plain` and `full`: the environment cut to the list of docs/protocol.md; and, for
# zsh code, the options and fpath.
.zdeferd-context() {
  builtin emulate -L zsh -o warn_create_global
  local -a environment names=(
    PATH HOME USER LOGNAME SHELL LANG TZ TMPDIR ZDOTDIR
    SSH_AUTH_SOCK DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS
    http_proxy https_proxy ftp_proxy all_proxy no_proxy
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
    ${(k)parameters[(I)(LC_*|XDG_*)]}
  )
  local name
  for name in $names; do
    [[ ${(Pt)name} == *export* ]] && environment+=("$name=${(P)name}")
  done
  plain=(context "environment=${(pj:\0:)environment}$_zdeferd[contract]")
  full=("${(@)plain}" "options=${(pj:\0:)_zdeferd_options}" "fpath=${(pj:\0:)fpath}")
}

# The names of the contract count as they stand at the first prompt, exported or not.
.zdeferd-freeze() {
  builtin emulate -L zsh -o warn_create_global
  (( $+_zdeferd[contract] )) && return 0
  local name contract
  for name in PERF_{SEGMENT_LOG,SEGMENT_JSON_LOG,SAMPLE_CONTEXT} ZSH_{LOG_STRUCTURED,PERF_JSON} \
    ZSH_IDLE_{ENABLE,HARD_BUDGET_MS,TASK_TIMEOUT_MS}
  do
    (( ${(P)+name} )) && contract+=$'\0'$name=${(P)name}
  done
  _zdeferd[contract]=$contract
}
