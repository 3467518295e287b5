# Messages: what a visit says, from the queue to bytes.
#
# Sourced by exchange.zsh. A message is a list of frames: hello, context, the functions that
# travel, the jobs as the queue has them, and in the last one `postprompt` (docs/protocol.md). It
# is taken in whole or not at all, so each holds all that its jobs need and at most 1 MiB: where they
# take more, each half of them makes its own; a job that would not fit into one alone is reported as
# `oversize`. Above 64 KiB it is sent in pieces (.zdeferd-send).
#
# The daemon finds out which job needs which function; here it is only which of them travel.
# Every shell pays for each command here, so one command packs all jobs where that can be.
#
# While values of the user's variables are looked up, each name of ours has our prefix: a variable of the
# user's may be called `name` or `job`. What grows is text, not an array: zsh copies a whole array for each
# element that is added.
#
# Locals of .zdeferd-pack: `_zdeferd_known` (the names of all functions) and `_zdeferd_environment`. Locals of
# .zdeferd-compose: `_zdeferd_jobs`, `_zdeferd_calls` (the zsh code among them), `_zdeferd_names` and
# `_zdeferd_pool` (the functions), `_zdeferd_words` (the names in the texts of both), `_zdeferd_math`,
# `_zdeferd_modules`, `_zdeferd_exported`, `_zdeferd_frames` and, in the end, `_zdeferd_encoded`. A function
# without an `emulate` of its own lives by the plugin's sticky options.

typeset -gi _zdeferd_limit=65536 _zdeferd_most=1048576
typeset -g _zdeferd_any=$'[^\0]#\0'  # a pattern: one word of a job, and the NUL behind it

# Puts the values into what `--env` named. All of ours have our prefix here: a user's `word` or
# `job` must not be hidden by a local of that name.
.zdeferd-look-up() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  [[ -n ${(M)_zdeferd_queue:#add$'\0'*$'\0'(env=|check=init$'\0')*} ]] || return 0
  local _zdeferd_name
  local -a _zdeferd_words _zdeferd_values
  local -i _zdeferd_job _zdeferd_word
  builtin autoload -Uz $_zdeferd_root/functions/zdeferd-eval-around
  for (( _zdeferd_job = 1; _zdeferd_job <= $#_zdeferd_queue; _zdeferd_job++ )); do
    [[ $_zdeferd_queue[_zdeferd_job] == add$'\0'*$'\0'(env=|check=init$'\0')* ]] || continue
    _zdeferd_words=("${(@ps:\0:)_zdeferd_queue[_zdeferd_job]}")
    # Where packing was interrupted it is here again.
    [[ $_zdeferd_queue[_zdeferd_job] != *$'\0'check=init$'\0'* || $_zdeferd_queue[_zdeferd_job] == *$'\0'env=TERM=* ]] ||
      zdeferd-eval-around
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
  local -a _zdeferd_events _zdeferd_known=("${(@k)functions}")
  local _zdeferd_environment
  [[ ${ZSH_IDLE_ENABLE-} != 0 ]] || .zdeferd-awake
  (( ! $#_zdeferd_told )) || _zdeferd_queue=("${(@)_zdeferd_queue:|_zdeferd_told}")
  (( $#_zdeferd_queue || ! $+_zdeferd[prompted] )) &&
    _zdeferd_events=(postprompt) _zdeferd[prompted]=1
  [[ -z ${_zdeferd[idle]-} ]] || { _zdeferd_events+=(idle) && _zdeferd[idle]= }
  (( ! $#_zdeferd_done )) || { _zdeferd_events+=($_zdeferd_done) && _zdeferd_done=() }
  (( $#_zdeferd_events || $#_zdeferd_awaited )) || return 0
  _zdeferd[asks]=
  [[ -n ${_zdeferd[nonce]-} ]] || _zdeferd[nonce]=$$-${(%):-%D{%s.%9.}}
  .zdeferd-surroundings
  .zdeferd-compose 1 $#_zdeferd_queue $_zdeferd_events
  .zdeferd-tell
  _zdeferd_queue=()
}

# Takes the idle jobs out of the queue.
.zdeferd-awake() {
  local nul=$'\0' any=$_zdeferd_any
  _zdeferd_queue=("${(@)_zdeferd_queue:#(defer$nul${~any}${~any}|add$nul${~any}on=)idle(|$nul*)}")
}

# Remembers what has been packed and is for once a shell.
.zdeferd-tell() {
  local nul=$'\0' any=$_zdeferd_any
  _zdeferd_told+=("${(@M)_zdeferd_queue:#(defer$nul|words$nul${~any}${~any}--$nul|add$nul*${nul}once_per=shell$nul)*}")
}

# Queues a message with the jobs from the $1th to the $2th, and the records in $3...
.zdeferd-compose() {
  local -a _zdeferd_frames=(hello protocol=2 nonce=$_zdeferd[nonce] seq=$(( _zdeferd[seq] + 1 ))
    version=$_zdeferd_version context "environment=$_zdeferd_environment"
    apply=$_zdeferd_born${(j::)_zdeferd_awaited/#/$'\0'})
  local -a _zdeferd_jobs=("${(@)_zdeferd_queue[$1,$2]}") _zdeferd_calls _zdeferd_names
  local -a _zdeferd_modules _zdeferd_exported _zdeferd_math
  local -aU _zdeferd_words
  local _zdeferd_pool _zdeferd_encoded
  if (( $#_zdeferd_jobs )); then
    .zdeferd-gather
    (( ! $#_zdeferd_words )) || { .zdeferd-equipment; .zdeferd-mention }
    .zdeferd-context
  fi
  _zdeferd_frames+=("${(@)argv[3,-1]}")
  .zdeferd-encode
  if (( $#_zdeferd_encoded <= _zdeferd_most || ! $#_zdeferd_jobs )); then
    _zdeferd_outbox+=("$_zdeferd_encoded") && (( ++_zdeferd[seq] ))
  elif (( $1 < $2 )); then
    .zdeferd-compose $1 $(( ($1 + $2) / 2 ))
    .zdeferd-compose $(( ($1 + $2) / 2 + 1 )) "${(@)argv[2,-1]}"
  else
    .zdeferd-oversize "${(@)argv[3,-1]}"
  fi
}

# Adds to the frames what goes with jobs, and the jobs; what is empty is left out.
.zdeferd-context() {
  local job mask declared
  local -a folders
  .zdeferd-mask
  for job in ${(k)nameddirs}; do folders+=("$job=$nameddirs[$job]"); done
  for job in "${(@)_zdeferd_jobs}"; do declared+=$'\0'$#job$'\0'$job; done
  _zdeferd_frames+=("options=${(pj:\0:)_zdeferd_options}" "fpath=${(pj:\0:)fpath}"
    ${_zdeferd_modules:+"modules=${(pj:\0:)_zdeferd_modules}"}
    ${folders:+"folders=${(pj:\0:)folders}"}
    ${_zdeferd_exported:+"exported=${(pj:\0:)_zdeferd_exported}"}
    ${_zdeferd_math:+"math=${(pj:\0:)_zdeferd_math}"} ${mask:+umask=$mask}
    functions "list=${_zdeferd_pool#$'\0'}" jobs "list=${declared#$'\0'}")
}

# Sets `mask` to the umask, which the builtin only prints: Linux has it in a file as well.
.zdeferd-mask() {
  local text
  [[ ! -r /proc/self/status ]] || builtin sysread -s 128 text </proc/self/status
  text=${text#*$'\nUmask:\t'}
  mask=${(M)text##[0-7]#}
}

# Queues a message that says of the one job in `_zdeferd_jobs` that it is too large, and of which function.
.zdeferd-oversize() {
  local name body largest
  local -i most=0
  for name in "${(@)_zdeferd_names}"; do
    body=$functions[$name]
    (( $#body <= most )) || most=$#body largest=$name
  done
  local -a words=("${(@ps:\0:)_zdeferd_jobs}")
  [[ $words[1] != words ]] || shift words
  .zdeferd-compose 1 0 oversize id=${words[2]#id=} bytes=$#_zdeferd_encoded function=$largest size=$most "$@"
}

# Sets `_zdeferd_pool` to the functions that the jobs call, and all that these call, as far as text can
# tell: of each its name and its body, and before both their lengths; `_zdeferd_calls` to the zsh code
# among the jobs; and `_zdeferd_words` to the names in all of these texts, and in commands that are jobs,
# without those of the functions.
.zdeferd-gather() {
  local IFS=$' \0\t\n!"#$%&\'()*+,-./:;<=>?@[\\]^`{|}~'
  local -a called words
  local name body new nul=$'\0' any=$_zdeferd_any
  local -aU found
  local -i asked=0
  # zdefer left `add`, ID, perhaps `--once-per` and that, `--`, the call; zdeferd-add fields, `--`,
  # the call. One word is zsh code; more are a function or a command and its arguments.
  words=("${(@)${(@)_zdeferd_jobs:#defer$nul*}##(words$nul${~any}${~any}(|--once-per$nul${~any})|add$nul([a-z_]##=${~any})#)--$nul}")
  called=("${(@)${(@M)words:#*$nul*}%%$nul*}")
  _zdeferd_words=($called) _zdeferd_calls=("${(@)words:#*$nul*}")
  called+=("${(@)${(@)${(@M)_zdeferd_jobs:#defer$nul*}#defer$nul*$nul}%%$nul*}")
  words=("${(@ps:\0:)${(@M)_zdeferd_jobs:#add$nul*}}")
  called+=("${(@)${(@M)words:#function=*}#function=}")
  new=${(pj:\0:)_zdeferd_calls}
  .zdeferd-commands
  found=("${(@)called:*_zdeferd_known}")
  (( $#found )) || .zdeferd-math
  while (( $#found )); do
    new=
    for name in "${(@)found}"; do
      body=$functions[$name]
      [[ $body != 'builtin autoload -X'* ]] || .zdeferd-resolve $name
      new+=$nul$body _zdeferd_pool+=$nul$#name$nul$name$nul$#body$nul$body
    done
    _zdeferd_names+=("${(@)found}") called=()
    .zdeferd-commands
    found=("${(@)${(@)called:*_zdeferd_known}:|_zdeferd_names}")
    (( $#found )) || .zdeferd-math
  done
  _zdeferd_words+=(${=_zdeferd_pool} ${=_zdeferd_calls})
  _zdeferd_words=("${(@)${(@M)_zdeferd_words:#[A-Za-z_]*}:|_zdeferd_names}")
}

# Once in a gathering: sets `_zdeferd_math` to the math functions (functions -M) that the texts may call,
# each as its name, its least and most arguments and the function; adds those functions to `found`. zsh
# only prints them: into the file of a here-string, which has no name any more and goes with the block.
.zdeferd-math() {
  local line
  local -a one
  [[ $asked == 0 && $_zdeferd_pool$_zdeferd_calls == *[A-Za-z0-9_]\(* ]] || return 0
  asked=1
  {
    builtin functions -M >>/dev/fd/3
    while IFS= builtin read -r line <&3; do
      one=(${(Q)${(z)line}})
      [[ $one[2] == -M && $_zdeferd_pool$_zdeferd_calls == *$one[3]\(* ]] || continue
      _zdeferd_math+=("$one[3,6]")
      found+=(${${one[6]:-$one[3]}:|_zdeferd_names})
    done
  } 3<<<'' 2>/dev/null
}

# Adds to `called` the words in command position in the texts of `new`: what stands first behind a
# separator, a word that a command follows, or an assignment; inside $(…) and here-documents, too,
# which ${(z)…} does not see. jobs/registrations.py has the same rule.
.zdeferd-commands() {
  [[ -n $new ]] || return 0
  local IFS=$'\0\n;&|(){}`'
  local -a pieces=(${=new})
  pieces=("${(@)pieces##([[:blank:]\\\"\']|(then|do|else|elif|if|while|until|time|!|-|noglob|nocorrect|exec|coproc|eval|trap)[[:blank:]]##|[A-Za-z_][A-Za-z0-9_]#(|+)=(\"[^\"]#\"|\'[^\']#\'|[^[:blank:]]#)[[:blank:]]##)#}")
  called+=("${(@)pieces%%[[:blank:]<>\"\'\$]*}")
}

# Sets `_zdeferd_exported` to the exported variables that the functions or the code name, with their values;
# not to what zsh sets itself, nor to what may be a secret by its name.
.zdeferd-mention() {
  local -a _zdeferd_names=(${(k)parameters[(R)*export*]})
  local _zdeferd_name
  for _zdeferd_name in "${(@)_zdeferd_names:*_zdeferd_words}"; do
    [[ $_zdeferd_name == (_|PWD|OLDPWD|SHLVL|(#i)*(TOKEN|SECRET|KEY|PASS)*) ]] ||
      _zdeferd_exported+=("$_zdeferd_name=${${(P)_zdeferd_name}//$'\0'}")
  done
}

# Sets `_zdeferd_encoded` to the message of `_zdeferd_frames`, each flags, length, bytes (ZMTP 3.0), with more to
# follow; the last one, `end`, says that no more do.
.zdeferd-encode() {
  local frame
  local -i n high low
  for frame in "${(@)_zdeferd_frames}"; do
    (( (n = $#frame) < 256 )) && _zdeferd_encoded+=$'\1'${(#)n}$frame || {
      (( high = n >> 16, low = n >> 8 & 255, n &= 255 ))
      _zdeferd_encoded+=$'\3\0\0\0\0\0'${(#)high}${(#)low}${(#)n}$frame
    }
  done
  _zdeferd_encoded+=$'\0\3end'
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

# Sets `_zdeferd_modules` to the modules that are loaded, each with what it has enabled. Left out is what
# every zsh loads by itself or no job can use.
.zdeferd-equipment() {
  local module
  local -a features
  for module in ${${(k)modules[(R)loaded]}:#zsh/(main|parameter|zle|zleparameter|zutil|comp*|term*|sched|rlimits|watch|langinfo|param/private|zprof|newuser)}; do
    builtin zmodload -lF -P features $module || continue
    features=("${(@)${(@M)features:#+*}#+}")
    (( ! $#features )) || _zdeferd_modules+=("$module $features")
  done
}

# Sets `_zdeferd_environment`, cut to the list of docs/jobs.md.
.zdeferd-surroundings() {
  local -a names=(
    PATH HOME USER LOGNAME SHELL LANG TZ TMPDIR ZDOTDIR
    SSH_AUTH_SOCK DISPLAY WAYLAND_DISPLAY DBUS_SESSION_BUS_ADDRESS
    http_proxy https_proxy ftp_proxy all_proxy no_proxy
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY
    ${(k)parameters[(I)(LC_*|XDG_*)]}
  )
  local name
  for name in $names; do
    [[ ${(Pt)name} == *export* ]] && _zdeferd_environment+=$'\0'$name=${(P)name}
  done
  _zdeferd_environment=${_zdeferd_environment#$'\0'}$_zdeferd[contract]
}
