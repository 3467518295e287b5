# Messages: what a visit says, from the queue to bytes.
#
# Sourced by exchange.zsh. A message is a list of frames: hello, context, the functions that
# travel, the jobs as the queue has them, and in the last one `postprompt` (docs/protocol.md). It
# is taken in whole or not at all, so each holds all that its jobs need and at most 1 MiB: where they
# take more, each half of them makes its own; a job that would not fit into one alone is reported as
# `oversize`. Above 64 KiB it is sent in pieces (.zdeferd-send).
#
# The daemon finds out which job needs which function; here it is only which of them travel.
# What a command costs here is paid by every shell, so what can be said of all jobs at once is.
#
# Packing keeps in locals of .zdeferd-pack: `known` (the names of all functions), `environment`,
# `loaded` (modules), `folders`, `exported` (names of variables), `mask` (the umask), `nul`, `any` (a pattern: one word of a job,
# and the NUL behind it). What has no `emulate` of its own lives by the plugin's sticky options.

typeset -gi _zdeferd_limit=65536 _zdeferd_most=1048576

# Puts the values into what `--env` named. All of ours have our prefix here: a user's `word` or
# `job` must not be hidden by a local of that name.
.zdeferd-look-up() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  [[ -n ${(M)_zdeferd_queue:#add$'\0'*$'\0'env=*} ]] || return 0
  local _zdeferd_name
  local -a _zdeferd_words _zdeferd_values
  local -i _zdeferd_job _zdeferd_word
  for (( _zdeferd_job = 1; _zdeferd_job <= $#_zdeferd_queue; _zdeferd_job++ )); do
    [[ $_zdeferd_queue[_zdeferd_job] == add$'\0'*$'\0'env=* ]] || continue
    _zdeferd_words=("${(@ps:\0:)_zdeferd_queue[_zdeferd_job]}")
    for (( _zdeferd_word = 1; _zdeferd_word < $_zdeferd_words[(ie)--]; _zdeferd_word++ )); do
      [[ $_zdeferd_words[_zdeferd_word] == env=[A-Za-z_][A-Za-z0-9_]# ]] || continue
      _zdeferd_name=${_zdeferd_words[_zdeferd_word]#env=}
      case ${(Pt)_zdeferd_name} in
        ('') ;;
        (array*) _zdeferd_words[_zdeferd_word]=(
          array=$_zdeferd_name element="${(@)^${(@P)_zdeferd_name}//$'\0'}") ;;
        (association*)
          _zdeferd_values=("${(@Pkv)_zdeferd_name}")
          _zdeferd_words[_zdeferd_word]=(
            association=$_zdeferd_name element="${(@)^_zdeferd_values//$'\0'}") ;;
        (*) _zdeferd_words[_zdeferd_word]+="=${${(P)_zdeferd_name}//$'\0'}" ;;
      esac
    done
    _zdeferd_queue[_zdeferd_job]=${(pj:\0:)_zdeferd_words}
  done
}

# Packs the queue, and what else is to be said, into `_zdeferd_outbox`.
.zdeferd-pack() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local -a events known=(${(k)functions}) loaded folders exported
  local environment mask nul=$'\0' any=[^$'\0']#$'\0'
  [[ ${ZSH_IDLE_ENABLE-} != 0 ]] ||
    _zdeferd_queue=("${(@)_zdeferd_queue:#(defer$nul${~any}${~any}|add$nul${~any}on=)idle(|$nul*)}")
  (( ! $#_zdeferd_told )) || _zdeferd_queue=("${(@)_zdeferd_queue:|_zdeferd_told}")
  (( $#_zdeferd_queue || ! $+_zdeferd[prompted] )) && events=(postprompt) _zdeferd[prompted]=1
  [[ -z ${_zdeferd[idle]-} ]] || { events+=(idle) && _zdeferd[idle]= }
  (( ! $#_zdeferd_done )) || { events+=($_zdeferd_done) && _zdeferd_done=() }
  (( $#events )) || return 0
  [[ -n ${_zdeferd[nonce]-} ]] || _zdeferd[nonce]=$$-${(%):-%D{%s.%9.}}
  .zdeferd-surroundings
  (( ! $#_zdeferd_queue )) || .zdeferd-equipment
  .zdeferd-compose 1 $#_zdeferd_queue $events
  _zdeferd_told+=("${(@M)_zdeferd_queue:#(defer$nul|words$nul${~any}${~any}--$nul|add$nul*${nul}once_per=shell$nul)*}")
  _zdeferd_queue=()
}

# Queues a message with the jobs from the $1th to the $2th, and the records in $3...
.zdeferd-compose() {
  local -i first=$1 last=$2 middle
  local -a frames pool declared calls mentioned math jobs=("${(@)_zdeferd_queue[first,last]}")
  local encoded job
  shift 2
  frames=(hello protocol=2 nonce=$_zdeferd[nonce] seq=$(( _zdeferd[seq] + 1 ))
    version=$_zdeferd_version context "environment=$environment")
  if (( $#jobs )); then
    .zdeferd-gather
    .zdeferd-mention
    for job in "${(@)jobs}"; do declared+=($#job "$job"); done
    frames+=("options=${(pj:\0:)_zdeferd_options}" "fpath=${(pj:\0:)fpath}"
      "modules=${(pj:\0:)loaded}" "folders=${(pj:\0:)folders}" "exported=${(pj:\0:)mentioned}" "math=${(pj:\0:)math}" "umask=$mask"
      functions "list=${(pj:\0:)pool}" jobs "list=${(pj:\0:)declared}")
  fi
  frames+=("$@")
  .zdeferd-encode
  if (( $#encoded <= _zdeferd_most || ! $#jobs )); then
    _zdeferd_outbox+=("$encoded") && (( ++_zdeferd[seq] ))
  elif (( first < last )); then
    (( middle = (first + last) / 2 ))
    .zdeferd-compose $first $middle
    .zdeferd-compose $(( middle + 1 )) $last "$@"
  else
    .zdeferd-oversize "$@"
  fi
}

# Queues a message that says of the one job in `jobs` that it is too large, and of which function.
.zdeferd-oversize() {
  local length name size body largest
  local -i most=0
  for length name size body in "${(@)pool}"; do
    (( size <= most )) || { most=size && largest=$name }
  done
  jobs=("${(@ps:\0:)jobs}")
  [[ $jobs[1] != words ]] || shift jobs
  .zdeferd-compose 1 0 oversize id=${jobs[2]#id=} bytes=$#encoded function=$largest size=$most "$@"
}

# Sets `pool` to the functions that the jobs call, and all that these call, as far as text can
# tell: of each its name and its body, and before both their lengths; and `calls` to the zsh code
# among the jobs.
.zdeferd-gather() {
  local -a words called new names
  local name body
  local -aU found
  local -i asked=0
  # zdefer left `add`, ID, perhaps `--once-per` and that, `--`, the call; zdeferd-add fields, `--`,
  # the call. One word is zsh code; more are a function or a command and its arguments.
  calls=("${(@)${(@)jobs:#defer$nul*}##(words$nul${~any}${~any}(|--once-per$nul${~any})|add$nul([a-z_]##=${~any})#)--$nul}")
  called=("${(@)${(@M)calls:#*$nul*}%%$nul*}")
  new=("${(@)calls:#*$nul*}") calls=("${(@)new}")
  words=("${(@)${(@M)jobs:#defer$nul*}##defer$nul${~any}}")
  called+=("${(@)words%%$nul*}")
  words=("${(@ps:\0:)${(@M)jobs:#add$nul*}}")
  called+=("${(@)${(@M)words:#function=*}#function=}")
  .zdeferd-commands
  found=("${(@)called:*known}")
  (( $#found )) || .zdeferd-math
  while (( $#found )); do
    new=()
    for name in "${(@)found}"; do
      body=$functions[$name]
      [[ $body != 'builtin autoload -X'* ]] || .zdeferd-resolve $name
      new+=("$body")
      pool+=($#name "$name" $#body "$body")
    done
    names+=("${(@)found}") called=()
    .zdeferd-commands
    found=("${(@)${(@)called:*known}:|names}")
    (( $#found )) || .zdeferd-math
  done
}

# Once in a gathering: sets `math` to the math functions (functions -M) that the texts may call, each
# as its name, its least and most arguments and the function; adds those functions to `found`. zsh only
# prints them: into the file of a here-string, which has no name any more and goes with the block.
.zdeferd-math() {
  local line
  local -a one
  [[ $asked == 0 && -n ${(M)pool:#*[A-Za-z0-9_]\(*}${(M)calls:#*[A-Za-z0-9_]\(*} ]] || return 0
  asked=1
  {
    builtin functions -M >/dev/fd/3
    while IFS= builtin read -r line <&3; do
      one=(${(Q)${(z)line}})
      [[ $one[2] == -M && -n ${(M)pool:#*$one[3]\(*}${(M)calls:#*$one[3]\(*} ]] || continue
      math+=("$one[3,6]")
      found+=(${${one[6]:-$one[3]}:|names})
    done
  } 3<<<'' 2>/dev/null
}

# Adds to `called` the words in command position in the texts of `new`: what stands first behind a
# separator, a word that a command follows, or an assignment; inside $(…) and here-documents, too,
# which ${(z)…} does not see. jobs/registrations.py has the same rule.
.zdeferd-commands() {
  local IFS=$'\0\n;&|(){}`'
  local -a pieces=(${=new})
  pieces=("${(@)pieces##([[:blank:]\\\"\']|(then|do|else|elif|if|while|until|time|!|-|noglob|nocorrect|exec|coproc|eval|trap)[[:blank:]]##|[A-Za-z_][A-Za-z0-9_]#(|+)=(\"[^\"]#\"|\'[^\']#\'|[^[:blank:]]#)[[:blank:]]##)#}")
  called+=("${(@)pieces%%[[:blank:]<>\"\'\$]*}")
}

# Sets `mentioned` to the exported variables that the functions or the code name, with their values;
# not to what zsh sets itself, nor to what may be a secret by its name.
.zdeferd-mention() {
  local IFS=$' \0\t\n!"#$%&\'()*+,-./:;<=>?@[\\]^`{|}~'
  local name
  (( $#exported )) || return 0
  local -aU words=(${=pool} ${=calls})
  for name in "${(@)exported:*words}"; do
    [[ $name == (_|PWD|OLDPWD|SHLVL|(#i)*(TOKEN|SECRET|KEY|PASS)*) ]] ||
      mentioned+=("$name=${${(P)name}//$nul}")
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

# Sets `loaded` to the modules that are, each with what it has enabled, `folders` to the named ones,
# `exported` to the names of exported variables, and `mask` to the umask, which the builtin only prints:
# Linux has it in a file as well. Left out of the modules is what every zsh loads by itself or no job can
# use.
.zdeferd-equipment() {
  local module text
  local -a features
  for module in ${${(k)modules[(R)loaded]}:#zsh/(main|parameter|zle|zleparameter|zutil|comp*|term*|sched|rlimits|watch|langinfo|param/private|zprof|newuser)}; do
    builtin zmodload -lF -P features $module || continue
    features=("${(@)${(@M)features:#+*}#+}")
    (( ! $#features )) || loaded+=("$module $features")
  done
  for module in ${(k)nameddirs}; do folders+=("$module=$nameddirs[$module]"); done
  exported=(${(k)parameters[(R)*export*]})
  [[ ! -r /proc/self/status ]] || builtin sysread -s 128 text </proc/self/status
  text=${text#*$'\nUmask:\t'}
  mask=${(M)text##[0-7]#}
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
