# The visit: one short connection that tells the daemon what is due, and closes.
#
# Before its prompt a shell pays for register.zsh alone: it appends to an array, and asks ZLE to
# call zdeferd-kick as soon as it waits for keys. Everything else is done in turns, by functions that
# ZLE calls while nothing is typed:
#
#     zdeferd-kick        lets the prompt through to the terminal (ADR 18), and reads this file
#     zdeferd-kick        connects, and says our greeting
#     .zdeferd-prepare    reads exchange.zsh and message.zsh
#     .zdeferd-prepare    packs what is due
#     .zdeferd-turn       the daemon's greeting is here: sends it
#     .zdeferd-turn       the answer is here: closes
#     .zdeferd-settle     has all of us in memory
#
# None of them waits for anybody else, and a key that is there comes first. A turn that does not
# finish (Ctrl-C, an error) ends the visit, and what was not answered is sent again at a later
# prompt, three times at most. Where the daemon is to tell of an output, the visit goes on (live/apply.zsh).
#
# All functions are defined, or marked for autoloading, inside the plugin's `emulate -c`,
# and so carry its options with them ("sticky" emulation, zshbuiltins(1)): zsh switches
# before their first command runs, and back after their last. With debug_before_cmd off a
# DEBUG trap fires after each command, and the first command of each function that zsh
# calls by itself puts the traps away. That is why neither xtrace nor a trap of the user's
# ever sees a line of ours.
#
# State: `_zdeferd_queue` holds what was registered and has not been packed into a message: of each
# job a kind (`defer`, `add`, `words`) and its words, joined by NUL. `_zdeferd_told` holds what has
# been packed and is for once a shell. `_zdeferd_armed` is not 0 while the queue needs no attention: a
# visit is coming (2: the first), under way, or given up. `_zdeferd_outbox` holds packed messages that
# nobody has answered. `_zdeferd` has the rest: fd, phase, input, prepared of the visit (in the phase
# `starting`, fd is the pipe of a daemon being started); seq, nonce, tries, given_up, prompted, idle, asks,
# looks, yielded of the shell, and `idle:ID` of what zf::idle::register took; kick, a number that is not open, and
# at which ZLE therefore calls at once, and soon, whom it is to call: who was ready before somebody else
# took the number is called all the same.
#
# Assumes ZLE: on a terminal, an interactive zsh survives the SIGPIPE of a dead daemon.

typeset -g _zdeferd_greeting=$'\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL'${(pl:48::\0:):-}
# READY: a command frame of 28 bytes with one property, Socket-Type.
_zdeferd_greeting+=$'\4\x1c\5READY\x0bSocket-Type\0\0\0\6DEALER'
builtin autoload -Uz $_zdeferd_root/functions/zdeferd-{absent,add,check,doubt,help,inside,refuse,socket}
typeset -ga _zdeferd_told _zdeferd_outbox _zdeferd_options _zdeferd_awaited
_zdeferd[loaded]=1

# Always 0: errexit may be on outside.
.zdeferd-open() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i opened=0
  { .zdeferd-connect && opened=1 } always { (( opened )) || .zdeferd-end unanswered }
  (( ! opened || ! $#_zdeferd_here )) || .zdeferd-here-wait
  return 0
}

.zdeferd-connect() {
  builtin emulate -L zsh -o warn_create_global
  local REPLY socket
  local -i fd
  [[ -z ${_zdeferd[fd]-} ]] || { .zdeferd-end waiting; _zdeferd_armed=1 }
  .zdeferd-freeze
  if [[ ! -O $HOME ]]; then  # `sudo -s`: this home and its daemon are somebody else's
    _zdeferd[given_up]=1
    return 1
  fi
  zdeferd-socket
  socket=$REPLY
  if [[ -e $socket || -h $socket ]]; then
    [[ -S $socket && -O $socket && -O ${socket:h} ]] && .zdeferd-modules || return 1
  fi
  .zdeferd-crowded && return 1
  if [[ ! -S $socket ]] || ! { [[ $socket != *[^$'\1'-$'\x7f']* ]] && builtin zsocket $socket || .zdeferd-by-folder }; then
    .zdeferd-exchange && .zdeferd-autostart
    return
  fi
  fd=$REPLY
  builtin exec {REPLY}>&$fd {fd}>&-  # from 10 on: the lower numbers are the user's
  .zdeferd-hold $REPLY greeting
  builtin syswrite -o $REPLY -- $_zdeferd_greeting && builtin zle -F $REPLY .zdeferd-turn &&
    .zdeferd-soon .zdeferd-prepare
}

# Connects to `socket` of its caller, as zsocket does, where its path has letters beyond ASCII: zsocket (5.9)
# does not find most of them. The folder is reached by a descriptor, on Linux alone.
.zdeferd-by-folder() {
  builtin emulate -L zsh -o warn_create_global
  local -i folder=-1
  [[ $socket == *[^$'\1'-$'\x7f']* ]] || return 1
  [[ $OSTYPE == linux* ]] || { builtin zsocket $socket; return }
  builtin exec {folder}<${socket:h} || return 1
  { builtin zsocket /dev/fd/$folder/${socket:t} } always { builtin exec {folder}<&- }
}

# Sets REPLY to the state folder: the rule of src/zdeferd/machine/paths.py. Only what is exported
# counts.
.zdeferd-state() {
  builtin emulate -L zsh -o warn_create_global
  typeset -g REPLY=$HOME/.local/state/zdeferd
  [[ ${(t)XDG_STATE_HOME} != *export* || $XDG_STATE_HOME != /* ]] || REPLY=$XDG_STATE_HOME/zdeferd
}

# Whether the daemon has been stopped (SIGSTOP, a debugger) and many visits wait behind it. Some
# may: it hears them when it goes on. But the kernel's queue (4,096) fills up, and then a connect
# waits for ever: zsh has none that does not. The count is slow, hence only where it may matter.
.zdeferd-crowded() {
  builtin emulate -L zsh -o warn_create_global
  local REPLY pid stat
  .zdeferd-state
  [[ -f $REPLY/lock && -r $REPLY/lock ]] && pid="$(<$REPLY/lock)" && [[ $pid == <1-> ]] || return 1
  [[ -r /proc/$pid/stat ]] && stat="$(</proc/$pid/stat)" || return 1  # not `read`: a call a byte
  [[ $stat == *') '[Tt]' '* ]] || return 1
  local -a waiting=(${(M)${(f)"$(</proc/net/unix)"}:#*" $socket"})
  (( $#waiting > 1024 ))
}

# No more of the modules than is used: a function of the user's may be named `sysopen`.
.zdeferd-modules() {
  builtin emulate -L zsh -o warn_create_global
  builtin zmodload -F zsh/net/socket +b:zsocket &&
    builtin zmodload -F zsh/system +b:sysread +b:syswrite
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

# The visit has the descriptor $1 from here to its end, and is in the phase $2.
.zdeferd-hold() {
  builtin emulate -L zsh -o warn_create_global
  _zdeferd[fd]=$1 _zdeferd[phase]=$2 _zdeferd[input]= _zdeferd[heard]=0 _zdeferd[piece]=0
  _zdeferd[prepared]=
  .zdeferd-hook precmd_functions .zdeferd-precmd
  .zdeferd-hook preexec_functions .zdeferd-preexec
}

# No command line may inherit the descriptor, and zsh cannot set close-on-exec on it.
.zdeferd-preexec() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  .zdeferd-end unanswered
}

# Packs what is due, while the daemon says its greeting, and sends it as soon as that is here.
#
# The message of the visit needs the shell's own options, and ours are in force here; but an EXIT trap
# of a function runs after they are back, and no other trap fires inside it.
.zdeferd-prepare() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  [[ $_zdeferd[soon] == .zdeferd-prepare ]] || return 0
  .zdeferd-typed && return 0
  if (( ! $+_zdeferd[exchange] )); then
    .zdeferd-exchange && return 0  # that was a turn of its own
    builtin zle -F $1
    _zdeferd[kick]=
    .zdeferd-end unanswered
    return 0
  fi
  builtin zle -F $1
  _zdeferd[kick]=
  builtin trap '{
    _zdeferd_options=(${(k)options[(R)on]}) && .zdeferd-say || builtin true
  } 2>/dev/null' EXIT
}

# The daemon has written, or is gone.
.zdeferd-turn() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  if [[ $1 != ${_zdeferd[fd]-} ]]; then  # a handler that was ready before its end
    builtin zle -F $1
    return 0
  fi
  local -i heard=0
  {
    .zdeferd-exchange &&
      if [[ $_zdeferd[phase] == starting ]]; then .zdeferd-started; else .zdeferd-read; fi && heard=1
  } always {
    (( heard )) || .zdeferd-end unanswered
  } 2>/dev/null
  return 0
}

# Has the functions of exchange.zsh, or is 1.
.zdeferd-exchange() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases
  (( $+_zdeferd[exchange] )) || builtin source $_zdeferd_root/defer/exchange.zsh 2>/dev/null
}

# Ends the visit; $1 is `answered`, `unanswered` or `waiting`. What is left waits for a prompt.
.zdeferd-end() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i fd=${_zdeferd[fd]:--1}
  if (( fd >= 0 )); then
    builtin zle -F $fd  # before the close: the number may be somebody else's at once
    builtin exec {fd}>&-
  fi 2>/dev/null
  .zdeferd-unhook precmd_functions .zdeferd-precmd
  .zdeferd-unhook preexec_functions .zdeferd-preexec
  local phase=$_zdeferd[phase]
  [[ $phase == waiting ]] || _zdeferd[idle]=
  _zdeferd[fd]= _zdeferd[phase]= _zdeferd[input]= _zdeferd[answer]=
  _zdeferd[yielded]=0
  if [[ $1 != answered && $phase == waiting ]]; then
    :  # it has its answer
  elif [[ $1 == answered ]]; then
    _zdeferd[tries]=0
    unset '_zdeferd[given_up]'
  elif (( $+_zdeferd[started] && SECONDS - ${_zdeferd[started]:-0} < 10 )); then
    :  # the daemon that this shell has started is on its way; a command may have cut the wait short
  elif (( ++_zdeferd[tries] > 3 )); then
    _zdeferd[given_up]=1
  fi
  _zdeferd_armed=$+_zdeferd[given_up]
  if (( ! _zdeferd_armed && ($#_zdeferd_outbox || $#_zdeferd_queue || $#_zdeferd_done ||
    $#_zdeferd_awaited || ! $+_zdeferd[prompted]) )); then
    .zdeferd-later
  fi
  (( ! $#_zdeferd_here )) || .zdeferd-here-arm
  return 0
}

# In front, so that the descriptor is closed before another hook forks.
.zdeferd-hook() {
  builtin emulate -L zsh -o warn_create_global
  (( ${(P)+1} )) || { typeset -ga $1; _zdeferd[$1]=1 }
  set -A $1 $2 "${(@)${(@P)1}:#$2}"
}

.zdeferd-unhook() {
  builtin emulate -L zsh -o warn_create_global
  (( ${(P)+1} )) || return 0
  set -A $1 "${(@)${(@P)1}:#$2}"
  if (( ${#${(@P)1}} == 0 && $+_zdeferd[$1] )); then
    unset $1 "_zdeferd[$1]"
  fi
}
