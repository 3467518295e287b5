# Outputs that this shell sources once they are published (`apply`, docs/outputs.md): the visit goes on
# after its answer, for as long as the shell sits at its prompt. Sourced at the first answer that names
# such an output, under the plugin's sticky options.
#
# Once nothing is to come any more, the shell looks after each prompt, and when its bell rings, whether one of
# these files is another one than it was. If so it asks again, and the daemon says what has been published.
#
# State: `_zdeferd_awaited` has `JOB=RUN` of each output that is still to come, as the next visit says
# it (docs/protocol.md); `_zdeferd_applied` the last run of each job whose output was queued, or was there
# before; `_zdeferd_followed` the paths of the outputs, and `_zdeferd_seen` which file each was. Such a
# visit is in the phase `waiting`, in which `_zdeferd_armed` is 0: what is registered meanwhile ends
# it and begins another. So does each command of the queue for this shell (live/here.zsh).

typeset -gA _zdeferd_applied _zdeferd_followed _zdeferd_seen
typeset -gi _zdeferd_pings

# Takes in what an answer says behind `seq`.
.zdeferd-note() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local word id
  for word; do
    [[ $word == (wait=[a-z0-9][a-z0-9-]#:<->|over=[a-z0-9][a-z0-9-]#|follow=[a-z0-9][a-z0-9-]#:<1->:/*) ]] || continue
    id=${${word#*=}%%:*}
    if [[ $word == follow=* ]]; then
      .zdeferd-follow "${word#*:}"
      continue
    fi
    _zdeferd_awaited=("${(@)_zdeferd_awaited:#$id=*}")
    [[ $word == over=* ]] || _zdeferd_awaited+=($id=${word#*:})
  done
}

# The output of the job `id` of its caller is looked at from now on: $1 is `RUN:PATH`, and runs from RUN on
# are not known here. A file of this very moment may be of a run that the daemon has not seen end.
.zdeferd-follow() {
  builtin emulate -L zsh -o warn_create_global
  local file=${1#*:} REPLY
  [[ ${_zdeferd_followed[$id]-} != $file ]] && builtin zmodload -F zsh/stat b:zstat 2>/dev/null || return 0
  (( $+_zdeferd_applied[$id] )) || _zdeferd_applied[$id]=$(( ${1%%:*} - 1 ))
  _zdeferd_followed[$id]=$file
  .zdeferd-which $file 2>/dev/null
  local -a parts=(${=REPLY})
  local -i now="${(%)_zdeferd_clock} / 1000000000"
  (( ${parts[2]:-0} + 2 < now )) || REPLY=
  _zdeferd_seen[$id]=$REPLY
  .zdeferd-hook precmd_functions .zdeferd-look
  [[ -n ${_zdeferd[bell]-} ]] || .zdeferd-listen
}

# Opens this shell's bell, a FIFO that the daemon has made, and has ZLE watch it. No child inherits it.
.zdeferd-listen() {
  builtin emulate -L zsh -o warn_create_global
  local REPLY
  local -i fd
  .zdeferd-state
  local bell=$REPLY/bells/$_zdeferd[nonce]
  [[ -p $bell && -O $bell && -O ${bell:h} ]] && builtin zmodload -F zsh/system b:sysopen &&
    builtin sysopen -rw -o cloexec -u fd -- $bell || return 0
  _zdeferd[bell]=$fd _zdeferd[bell-path]=$bell
  builtin zle -F $fd .zdeferd-rung
}

# Called by ZLE: the bell has rung. It is left alone once its number is of another file.
.zdeferd-rung() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local chunk
  {
    if [[ /dev/fd/$1 -ef $_zdeferd[bell-path] ]] && builtin sysread -i $1 -t 0 -s 4096 chunk; then
      .zdeferd-compare
    else
      builtin zle -F $1
      _zdeferd[bell]=-
    fi
  } 2>/dev/null
}

# Sets REPLY to what tells the file $1 from another one at that path; empty: there is none.
.zdeferd-which() {
  builtin emulate -L zsh -o warn_create_global
  local -a found
  typeset -g REPLY=
  [[ ! -e $1 ]] || { builtin zstat -A found -- $1 && REPLY="$found[2] $found[10] $found[11] $found[8]" }
}

# A prompt is about to be drawn. No file is looked at before it is: a file system may be slow.
.zdeferd-look() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i number=700
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number .zdeferd-looked
  _zdeferd[looks]=$number
}

# Called by ZLE: the prompt is drawn.
.zdeferd-looked() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  builtin zle -F $1
  _zdeferd[looks]=
  .zdeferd-compare
}

# Asks for each output whose file is another one now.
.zdeferd-compare() {
  builtin emulate -L zsh -o warn_create_global
  local id REPLY
  for id in ${(k)_zdeferd_followed}; do
    .zdeferd-which $_zdeferd_followed[$id]
    [[ -n $REPLY && $REPLY != $_zdeferd_seen[$id] ]] || continue
    _zdeferd_seen[$id]=$REPLY
    [[ -z ${(M)_zdeferd_awaited:#$id=*} ]] || continue
    _zdeferd_awaited+=($id=$(( _zdeferd_applied[$id] + 1 )))
    _zdeferd[asks]=1  # a message that is packed already does not
    (( _zdeferd_armed )) || zdeferd-arm
  done 2>/dev/null
}

# The visit is answered, and goes on; an `idle` that came behind its message begins another.
.zdeferd-wait() {
  builtin emulate -L zsh -o warn_create_global
  _zdeferd[phase]=waiting _zdeferd[tries]=0 _zdeferd_armed=0 _zdeferd_pings=0
  unset '_zdeferd[given_up]'
  [[ -z $_zdeferd[idle] ]] || zdeferd-arm
  (( ! $#_zdeferd_here )) || .zdeferd-here-arm
}

# Takes in a message that comes behind the answer: $1 is `apply` or `over`, the rest its fields.
.zdeferd-told() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local id=${2#id=} run=${3#run=} file=${4#path=}
  _zdeferd[heard]=0
  if [[ $1 == over ]]; then
    _zdeferd_awaited=("${(@)_zdeferd_awaited:#$id=*}")
    unset "_zdeferd[fresh-$id]"
  elif [[ $id:$run:$file == [a-z0-9][a-z0-9-]#:<1->:/* ]]; then
    _zdeferd_awaited=("${(@)_zdeferd_awaited:/$id=<->/$id=$(( run + 1 ))}")
    (( run <= ${_zdeferd_applied[$id]:-0} )) || .zdeferd-apply
  fi
  [[ $_zdeferd[phase] != waiting ]] || (( $#_zdeferd_awaited )) || .zdeferd-end answered
}

# Queues the file: once no key waits, it is sourced at the top level. Not where zdefer eval has run the
# command itself, and this is the first cache.
.zdeferd-apply() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases
  local REPLY
  _zdeferd_applied[$id]=$run
  if (( $+_zdeferd_followed[$id] )); then
    .zdeferd-which $file 2>/dev/null
    _zdeferd_seen[$id]=$REPLY
  fi
  if (( $+_zdeferd[fresh-$id] )); then
    unset "_zdeferd[fresh-$id]"
    return 0
  fi
  builtin source $_zdeferd_root/live/here.zsh
  .zdeferd-here-push ${${:-apply-$id}[1,64]} 0 '' '' builtin source $file
}

# Answers a PING, which comes each 5 s. After 120 of them the shell asks again at its next prompt only.
.zdeferd-pong() {
  builtin emulate -L zsh -o warn_create_global
  local reply=$'\4PONG'${frame[8,-1]}
  local -a ready
  if (( ++_zdeferd_pings > 120 )); then
    .zdeferd-end waiting
    return 0
  fi
  _zdeferd[heard]=0
  builtin zselect -t 0 -a ready -w $_zdeferd[fd] && builtin syswrite -o $_zdeferd[fd] -- $'\4'${(#)$(( $#reply ))}$reply
}
