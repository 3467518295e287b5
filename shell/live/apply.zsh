# Outputs that this shell sources once they are published (`apply`, docs/outputs.md): the visit goes on
# after its answer, for as long as the shell sits at its prompt. Sourced at the first answer that names
# such an output, under the plugin's sticky options.
#
# State: `_zdeferd_awaited` has `JOB=RUN` of each output that is still to come, as the next visit says
# it (docs/protocol.md); `_zdeferd_applied` the last run of each job whose output was queued. Such a
# visit is in the phase `waiting`, in which `_zdeferd_armed` is 0: what is registered meanwhile ends
# it and begins another. So does each command of the queue for this shell (live/here.zsh).

typeset -gA _zdeferd_applied
typeset -gi _zdeferd_pings

# Takes in what an answer says behind `seq`.
.zdeferd-note() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local word id
  for word; do
    [[ $word == (wait=[a-z0-9][a-z0-9-]#:<->|over=[a-z0-9][a-z0-9-]#) ]] || continue
    id=${${word#*=}%:*}
    _zdeferd_awaited=("${(@)_zdeferd_awaited:#$id=*}")
    [[ $word == over=* ]] || (( $+_zdeferd[fresh-$id] )) || _zdeferd_awaited+=($id=${word#*:})
  done
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
  elif [[ $id:$run:$file == [a-z0-9][a-z0-9-]#:<1->:/* ]]; then
    _zdeferd_awaited=("${(@)_zdeferd_awaited:/$id=<->/$id=$(( run + 1 ))}")
    (( run <= ${_zdeferd_applied[$id]:-0} || $+_zdeferd[fresh-$id] )) || .zdeferd-apply
  fi
  [[ $_zdeferd[phase] != waiting ]] || (( $#_zdeferd_awaited )) || .zdeferd-end answered
}

# Queues the file: once no key waits, it is sourced at the top level.
.zdeferd-apply() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases
  _zdeferd_applied[$id]=$run
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
