# Messages: what a visit says, from the queue to bytes.
#
# Sourced by exchange.zsh. A message is a list of frames: hello, context, the functions that
# travel, the jobs, and in the last one `postprompt` (docs/protocol.md). It is delivered
# whole or not at all, so each holds all that its jobs need and at most 64 KiB; a job
# that would not fit into one on its own is reported as `oversize`.
#
# Packing keeps what it builds in locals of .zdeferd-pack: `message` (the frames at hand,
# encoded), `room` (for such frames), `final` (what the last of them takes), `code` (a job in
# it is zsh code), `carried` (names of the functions in it), `context` and `full` (the context
# without and with what zsh code needs, encoded), `bodies` and `calls` (by function name),
# `known` (the names of all functions), and IFS, which splits at blanks and punctuation: so
# calls are found inside $(…), quotes and here-documents, which ${(z)…} does not see. What is
# called for each job lives by the plugin's sticky options, and there is little of it: an empty
# call takes 9 µs, `emulate` 2 more, a job 120 in all.

typeset -gi _zdeferd_limit=65536

# Sets `_zdeferd_env` to the variables that `--env` names. All of ours have our prefix here: a
# user's `word` or `job` must not be hidden by a local of that name.
.zdeferd-look-up() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local _zdeferd_name
  typeset -gA _zdeferd_env=()
  for _zdeferd_name in "${(@)${(@M)_zdeferd_queue:#env=[A-Za-z_][A-Za-z0-9_]#}#env=}"; do
    (( ${(P)+_zdeferd_name} )) && _zdeferd_env[$_zdeferd_name]=${(P)_zdeferd_name}
  done
}

# Packs the queue, and what else is to be said, into `_zdeferd_outbox`.
.zdeferd-pack() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  [[ $#_zdeferd_queue -gt 0 || $+_zdeferd[prompted] -eq 0 || -n ${_zdeferd[idle]-} ]] || return 0
  local IFS=$' \t\n;&|()<>{}[]$"\'`=!,\\'
  local -a job roots known=(${(k)functions})
  local -A carried bodies calls
  local -i at=1 code=0 count final room zsh
  local message encoded context full
  [[ -n ${_zdeferd[nonce]-} ]] || _zdeferd[nonce]=$$-${(%):-%D{%s.%9.}}
  .zdeferd-context
  (( room = _zdeferd_limit - 256 - $#full ))  # with what hello and the last words take
  while (( at < $#_zdeferd_queue )); do
    (( count = _zdeferd_queue[at+1] ))
    .zdeferd-declare-$_zdeferd_queue[at] "${(@)_zdeferd_queue[at+2,at+1+count]}" &&
      .zdeferd-enclose
    (( at += count + 2 ))
  done
  _zdeferd_queue=()
  if [[ -n $message ]] || (( ! $+_zdeferd[prompted] )); then
    .zdeferd-encode postprompt
    message+=$encoded
    _zdeferd[prompted]=1
  fi
  if [[ -n ${_zdeferd[idle]-} ]]; then
    .zdeferd-encode idle
    message+=$encoded
    _zdeferd[idle]=
  fi
  [[ -n $message ]] && .zdeferd-finish
  return 0
}

# Sets `encoded` to the frames in the arguments, each flags, length, bytes (ZMTP 3.0), with
# more to follow; and `final` to what the last of them takes.
.zdeferd-encode() {
  local frame
  local -i n high low
  encoded=
  for frame; do
    (( (n = $#frame) < 256 )) && encoded+=$'\1'${(#)n}$frame || {
      (( high = n >> 16, low = n >> 8 & 255, n &= 255 ))
      encoded+=$'\3\0\0\0\0\0'${(#)high}${(#)low}${(#)n}$frame
    }
  done
  (( final = $#frame < 256 ? n + 2 : $#frame + 9 ))
}

# Puts hello and the context in front of the message at hand, and queues it.
.zdeferd-finish() {
  local -i last=$final
  .zdeferd-encode hello protocol=1 nonce=$_zdeferd[nonce] seq=$(( ++_zdeferd[seq] )) \
    version=$_zdeferd_version
  (( code )) && encoded+=$full || encoded+=$context
  encoded+=$message
  (( last = $#encoded + 1 - last ))  # where the last frame begins: no more follow it
  [[ $encoded[last] == $'\1' ]] && encoded[last]=$'\0' || encoded[last]=$'\2'
  _zdeferd_outbox+=("$encoded")
  message= carried=() code=0
}

# zf::defer::register's words: into `job`, `roots` and `zsh` (whether it is zsh code); 1 where
# it is not to be sent. What is the default in docs/protocol.md is not said.
.zdeferd-declare-defer() {
  [[ $3 == idle && ${ZSH_IDLE_ENABLE-} == 0 || -n ${_zdeferd_ids[$3:$1]-} ]] && return 1
  _zdeferd_ids[$3:$1]=1
  job=(job "id=$1" "call=${(q)2}" "description=${argv[4,-1]}") roots=("$2") zsh=1
  [[ $3 == postprompt ]] || job+=(on=$3)
}

# The words of a `zdefer add` that zdefer knew to be right.
.zdeferd-declare-words() {
  if [[ $3 == -- ]]; then
    _zdeferd_ids[shell:$2]=1
    job=(job "id=$2") && shift 3
  else
    job=(job "id=$2" once_per=$4) && shift 5
  fi
  .zdeferd-declare-call "$@"
}

# The words that zdeferd-add left: fields, then `--`, then the call.
.zdeferd-declare-add() {
  local -i split=$argv[(ie)--]
  local -a env
  local word
  [[ $2 == on=idle && ${ZSH_IDLE_ENABLE-} == 0 ]] && return 1
  [[ $3 == once_per=shell ]] && _zdeferd_ids[shell:${1#id=}]=1
  job=(job "$1" "$2" "$3")
  .zdeferd-declare-call "${(@)argv[split+1,-1]}"
  for word in "${(@)argv[4,split-1]}"; do
    case $word in
      (env=*) (( $+_zdeferd_env[${word#*=}] )) && env+=("${word#*=}=$_zdeferd_env[${word#*=}]") ;;
      (function=*) roots+=("${word#*=}") zsh=1 ;;
      (*) job+=("$word") ;;
    esac
  done
  (( ! $#env )) || job+=("env=${(pj:\0:)env}")
}

# What is called: one word is zsh code, more are a function or a command and its arguments.
.zdeferd-declare-call() {
  roots=() zsh=0
  job+=("call=${(pj:\0:)argv}")
  if (( $# == 1 )); then
    roots=(${${=1}:*known}) zsh=1
  elif (( $+functions[$1] )); then
    roots=("$1") zsh=1
  fi
}

# Adds `job` to the message at hand, or to a new one, with the functions it needs: `roots` and
# all that they call, as far as text can tell.
.zdeferd-enclose() {
  local -aU needed=("${(@)roots}")
  local -a called new
  local name body
  local -i next before=$final
  for (( next = 1; next <= $#needed; next++ )); do
    name=$needed[next]
    if (( $+bodies[$name] )); then
      [[ -z $calls[$name] ]] || needed+=("${(@ps:\0:)calls[$name]}")
    else
      body=${functions[$name]-$'\0'}
      [[ $body != $'\0' ]] || { needed[next]=() && (( next--, 1 )); continue }  # no function
      [[ $body != 'builtin autoload -X'* ]] || .zdeferd-resolve $name
      called=(${${=body}:*known})
      needed+=("${(@)called}")
      calls[$name]=${(pj:\0:)called} bodies[$name]=$body
    fi
    (( $+carried[$name] )) || new+=(function "name=$name" "body=$bodies[$name]")
  done
  (( ! $#needed )) || job+=("functions=${(pj:\0:)needed}")
  .zdeferd-encode "${(@)new}" "${(@)job}"
  if (( $#message + $#encoded > room && $#message )); then
    final=$before
    .zdeferd-finish
    new=()
    for name in "${(@)needed}"; do
      new+=(function "name=$name" "body=$bodies[$name]")
    done
    .zdeferd-encode "${(@)new}" "${(@)job}"
  fi
  if (( $#encoded > room )); then
    needed=()
    .zdeferd-encode oversize "$job[2]" "bytes=$#encoded"
  fi
  for name in "${(@)needed}"; do carried[$name]=1; done
  message+=$encoded
  (( code |= zsh ))
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

# Sets `context` and `full`: the environment cut to the list of docs/protocol.md; and, for
# zsh code, the options and fpath.
.zdeferd-context() {
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
  .zdeferd-encode context "environment=${(pj:\0:)environment}$_zdeferd[contract]"
  context=$encoded
  .zdeferd-encode "options=${(pj:\0:)_zdeferd_options}" "fpath=${(pj:\0:)fpath}"
  full=$context$encoded
}
