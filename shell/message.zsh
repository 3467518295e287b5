# Messages: what a visit says, from the queue to bytes.
#
# Sourced by exchange.zsh. A message is a list of frames: hello, context, the functions that
# travel, the jobs as the queue has them, and in the last one `postprompt` (docs/protocol.md). It
# is delivered whole or not at all, so each holds all that its jobs need and at most 64 KiB: where
# they take more, each half of them makes its own; a job that would not fit into one alone is
# reported as `oversize`.
#
# Which job needs which function is found out by the daemon; here it is only which of them travel.
# What a command costs here is paid by every shell, so what can be said of all jobs at once is.
#
# Packing keeps in locals of .zdeferd-pack: of each job where it begins (`starts`, and one more),
# the function it calls (`roots`) or its zsh code (`codes`); `known` (the names of all functions);
# `environment`; and IFS, which splits at blanks and punctuation: so calls are found inside $(…),
# quotes and here-documents, which ${(z)…} does not see. What has no `emulate` of its own lives by
# the plugin's sticky options.

typeset -gi _zdeferd_limit=65536

# Puts the values into what `--env` named. All of ours have our prefix here: a user's `word` or
# `job` must not be hidden by a local of that name.
.zdeferd-look-up() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  [[ -n ${(M)_zdeferd_queue:#add$'\0'*$'\0'env=*} ]] || return 0
  local _zdeferd_job _zdeferd_name
  local -i _zdeferd_at
  for (( _zdeferd_at = 1; _zdeferd_at <= $#_zdeferd_queue; _zdeferd_at++ )); do
    _zdeferd_job=$_zdeferd_queue[_zdeferd_at]
    [[ $_zdeferd_job == add$'\0'* ]] || continue
    for _zdeferd_name in "${(@)${(@M)${(@ps:\0:)_zdeferd_job%%$'\0'--$'\0'*}:#env=[A-Za-z_][A-Za-z0-9_]#}#env=}"; do
      (( ${(P)+_zdeferd_name} )) && _zdeferd_job=${_zdeferd_job/$'\0'env=$_zdeferd_name$'\0'/$'\0'env=$_zdeferd_name=${${(P)_zdeferd_name}//$'\0'}$'\0'}
    done
    _zdeferd_queue[_zdeferd_at]=$_zdeferd_job
  done
}

# Packs the queue, and what else is to be said, into `_zdeferd_outbox`.
.zdeferd-pack() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local IFS=$' \0\t\n;&|()<>{}[]$"\'`=!,\\'
  local -a events known=(${(k)functions})
  local environment any=[^$'\0']#$'\0'
  [[ ${ZSH_IDLE_ENABLE-} != 0 ]] ||
    _zdeferd_queue=("${(@)_zdeferd_queue:#(defer$'\0'${~any}${~any}|add$'\0'${~any}on=)idle$'\0'*}")
  (( ! $#_zdeferd_told )) || _zdeferd_queue=("${(@)_zdeferd_queue:|_zdeferd_told}")
  (( $#_zdeferd_queue || ! $+_zdeferd[prompted] )) && events=(postprompt) _zdeferd[prompted]=1
  [[ -z ${_zdeferd[idle]-} ]] || { events+=(idle) && _zdeferd[idle]= }
  (( $#events )) || return 0
  [[ -n ${_zdeferd[nonce]-} ]] || _zdeferd[nonce]=$$-${(%):-%D{%s.%9.}}
  .zdeferd-surroundings
  .zdeferd-compose 1 $#_zdeferd_queue $events
  _zdeferd_told+=("${(@M)_zdeferd_queue:#(defer$'\0'|words$'\0'${~any}${~any}--$'\0'|add$'\0'${~any}${~any}once_per=shell$'\0')*}")
  _zdeferd_queue=()
}

# Queues a message with the jobs from the $1th to the $2th, and the records in $3...
.zdeferd-compose() {
  local -i first=$1 last=$2 middle
  local -a frames pool declared jobs=("${(@)_zdeferd_queue[first,last]}")
  local encoded job
  shift 2
  frames=(hello protocol=2 nonce=$_zdeferd[nonce] seq=$(( _zdeferd[seq] + 1 ))
    version=$_zdeferd_version context "environment=$environment")
  if (( $#jobs )); then
    .zdeferd-gather
    for job in "${(@)jobs}"; do declared+=($#job "$job"); done
    frames+=("options=${(pj:\0:)_zdeferd_options}" "fpath=${(pj:\0:)fpath}"
      functions "list=${(pj:\0:)pool}" jobs "list=${(pj:\0:)declared}")
  fi
  frames+=("$@")
  .zdeferd-encode
  if (( $#encoded <= _zdeferd_limit || ! $#jobs )); then
    _zdeferd_outbox+=("$encoded") && (( ++_zdeferd[seq] ))
  elif (( first < last )); then
    (( middle = (first + last) / 2 ))
    .zdeferd-compose $first $middle
    .zdeferd-compose $(( middle + 1 )) $last "$@"
  else
    jobs=("${(@ps:\0:)jobs}")
    [[ $jobs[1] != words ]] || shift jobs
    .zdeferd-compose 1 0 oversize id=${jobs[2]#id=} bytes=$#encoded "$@"
  fi
}

# Sets `pool` to the functions that the jobs call, and all that these call, as far as text can
# tell: of each its name and its body, and before both their lengths.
.zdeferd-gather() {
  local any=[^$'\0']#$'\0' name body
  local -a calls words called new names
  local -aU found
  # zdefer left `add`, ID, perhaps `--once-per` and that, `--`, the call; zdeferd-add fields, `--`,
  # the call. One word is zsh code; more are a function or a command and its arguments.
  calls=("${(@)${(@)jobs:#defer$'\0'*}##(words$'\0'${~any}${~any}(|--once-per$'\0'${~any})|add$'\0'([a-z_]##=${~any})#)--$'\0'}")
  words=("${(@ps:\0:)${(@M)jobs:#add$'\0'*}}")
  called=("${(@)${(@)${(@M)jobs:#defer$'\0'*}##defer$'\0'${~any}}%%$'\0'*}"
    "${(@)${(@M)calls:#*$'\0'*}%%$'\0'*}" ${=calls:#*$'\0'*} "${(@)${(@M)words:#function=*}#function=}")
  found=("${(@)called:*known}")
  while (( $#found )); do
    new=()
    for name in "${(@)found}"; do
      body=$functions[$name]
      [[ $body != 'builtin autoload -X'* ]] || .zdeferd-resolve $name
      new+=($#name "$name" $#body "$body")
    done
    pool+=("${(@)new}") names+=("${(@)found}")
    called=(${=new})
    found=("${(@)${(@)called:*known}:|names}")
  done
}

# Sets `encoded` to the message of `frames`, each flags, length, bytes (ZMTP 3.0), with more to
# follow; the last one, `end`, says that no more do.
.zdeferd-encode() {
  local frame
  local -i n high low
  for frame in "${(@)frames}"; do
    (( (n = $#frame) < 256 )) && encoded+=$'\1'${(#)n}$frame || {
      (( high = n >> 16, low = n >> 8 & 255, n &= 255 ))
      encoded+=$'\3\0\0\0\0\0'${(#)high}${(#)low}${(#)n}$frame
    }
  done
  encoded+=$'\0\3end'
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

# Sets `environment`, cut to the list of docs/jobs.md.
.zdeferd-surroundings() {
  local -a exported names=(
    PATH HOME USER LOGNAME SHELL LANG TZ TMPDIR ZDOTDIR
    SSH_AUTH_SOCK DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS
    http_proxy https_proxy ftp_proxy all_proxy no_proxy
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
    ${(k)parameters[(I)(LC_*|XDG_*)]}
  )
  local name
  for name in $names; do
    [[ ${(Pt)name} == *export* ]] && exported+=("$name=${(P)name}")
  done
  environment=${(pj:\0:)exported}$_zdeferd[contract]
}
