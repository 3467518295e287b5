# The visit: one short connection that tells the daemon what is due, and closes.
#
# What a shell pays for before its prompt is registration.zsh: it appends to an array, and
# one function to precmd_functions, which asks ZLE to call zdeferd-kick as soon as it waits
# for keys. Everything else is here, in handlers that ZLE calls while nothing is typed.
# None of them waits. A turn that does not finish (Ctrl-C, an error) ends the visit, and
# what was not answered is sent again at a later prompt, three times at most.
#
# The wire is ZMTP 3.0 (rfc.zeromq.org/spec/23), NULL mechanism, as a DEALER. Nothing
# may be sent behind READY before the peer's READY is here: libzmq loses it silently.
#
# All functions are defined, or marked for autoloading, inside the plugin's `emulate -c`,
# and so carry its options with them ("sticky" emulation, zshbuiltins(1)): zsh switches
# before their first command runs, and back after their last. With debug_before_cmd off a
# DEBUG trap fires after each command, and the first command of each function that zsh
# calls by itself puts the traps away. That is why neither xtrace nor a trap of the user's
# ever sees a line of ours.
#
# State: `_zdeferd_queue` holds what was registered and has not been packed into a message:
# a kind (`defer`, `add`, `words`), a count, and that many words. `_zdeferd_armed` is not 0
# while the queue needs no attention: a visit is coming (2: the first), under way, or given
# up. `_zdeferd_outbox` holds packed messages that nobody has answered. `_zdeferd` has the
# rest: fd, phase and input of the visit (in the phase `starting`, fd is the pipe of a daemon
# being started); seq, nonce, tries, given_up, prompted, idle of the shell; kick, a number that
# is not open, and at which ZLE therefore calls at once.
#
# Assumes ZLE: on a terminal, an interactive zsh survives the SIGPIPE of a dead daemon.

builtin source "$_zdeferd_root/message.zsh" || return 1
builtin autoload -Uz $_zdeferd_root/functions/zdeferd-complete
typeset -g _zdeferd_greeting=$'\xff\0\0\0\0\0\0\0\1\x7f\3\0NULL'${(pl:48::\0:):-}
# READY: a command frame of 28 bytes with one property, Socket-Type.
_zdeferd_greeting+=$'\4\x1c\5READY\x0bSocket-Type\0\0\0\6DEALER'
_zdeferd[loaded]=1

# Called with the user's options in `_zdeferd_options`, and the number that ZLE was asked to
# watch: nothing is open there. Always 0: errexit may be on outside.
.zdeferd-open() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i opened=0
  { .zdeferd-connect && opened=1 } always { (( opened )) || .zdeferd-end unanswered }
  if [[ ${_zdeferd[phase]-} == greeting && ! -e /dev/fd/$1 ]]; then
    builtin zle -F $1 .zdeferd-prepare
    _zdeferd[kick]=$1
  fi
  return 0
}

.zdeferd-connect() {
  builtin emulate -L zsh -o warn_create_global
  local REPLY socket
  local -i fd
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
  [[ -S $socket ]] && builtin zsocket $socket || { .zdeferd-autostart; return }
  fd=$REPLY
  builtin exec {REPLY}>&$fd {fd}>&-  # from 10 on: the lower numbers are the user's
  .zdeferd-hold $REPLY greeting
  builtin syswrite -o $REPLY -- $_zdeferd_greeting && builtin zle -F $REPLY .zdeferd-turn
}

# Whether the daemon has been stopped (SIGSTOP, a debugger) and many visits wait behind it. Some
# may: it hears them when it goes on. But the kernel's queue (4,096) fills up, and then a connect
# waits for ever: zsh has none that does not. The count is slow, hence only where it may matter.
.zdeferd-crowded() {
  builtin emulate -L zsh -o warn_create_global
  local lock=$HOME/.local/state pid stat
  [[ ${(t)XDG_STATE_HOME} == *export* && $XDG_STATE_HOME == /* ]] && lock=$XDG_STATE_HOME
  lock+=/zdeferd/lock
  [[ -f $lock && -r $lock ]] && pid="$(<$lock)" && [[ $pid == <1-> ]] || return 1
  [[ -r /proc/$pid/stat ]] && stat="$(</proc/$pid/stat)" || return 1  # not `read`: a call a byte
  [[ $stat == *') '[Tt]' '* ]] || return 1
  local -a waiting=(${(M)${(f)"$(</proc/net/unix)"}:#*" $socket"})
  (( $#waiting > 1024 ))
}

# The visit has the descriptor $1 from here to its end, and is in the phase $2.
.zdeferd-hold() {
  builtin emulate -L zsh -o warn_create_global
  _zdeferd[fd]=$1 _zdeferd[phase]=$2 _zdeferd[input]= _zdeferd[heard]=0
  .zdeferd-hook precmd_functions .zdeferd-precmd
  .zdeferd-hook preexec_functions .zdeferd-preexec
}


# No more of the modules than is used: a function of the user's may be named `sysopen`.
.zdeferd-modules() {
  builtin emulate -L zsh -o warn_create_global
  builtin zmodload -F zsh/net/socket +b:zsocket &&
    builtin zmodload -F zsh/system +b:sysread +b:syswrite &&
    builtin zmodload -F zsh/zselect +b:zselect
}

# No command line may inherit the descriptor, and zsh cannot set close-on-exec on it.
.zdeferd-preexec() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  .zdeferd-end unanswered
}

# A turn of its own, while the daemon says its greeting: packs the message, unless that has been
# done because the greeting was here first.
.zdeferd-prepare() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i prepared=0
  builtin zle -F $1
  {
    [[ ${_zdeferd[phase]-} != greeting || $#_zdeferd_outbox -gt 0 ]] || .zdeferd-pack
    builtin zle -F $1 .zdeferd-settle && prepared=1
  } always {
    (( prepared )) || .zdeferd-end unanswered
  } 2>/dev/null
  return 0
}

# And while it takes in the message: all of us into memory, and what completes us.
.zdeferd-settle() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  builtin zle -F $1
  _zdeferd[kick]=
  {
    (( $+_zdeferd[whole] )) || .zdeferd-load
    (( $+_zdeferd[completing] || ! $+functions[compdef] )) || zdeferd-complete
  } 2>/dev/null
  return 0
}

# What a live shell may need when our files have been removed, or are those of another version.
.zdeferd-load() {
  builtin emulate -L zsh -o warn_create_global
  local name
  _zdeferd[whole]=1
  for name in zdefer zdeferd-{add,arm,check,doubt,refuse,socket} zdeferd_plugin_unload \
    zf::idle::{register,run_if_ready}
  do
    [[ $functions[$name] != 'builtin autoload -X'* ]] || builtin autoload +X $name
  done >/dev/null 2>&1
}

# The daemon has written, or is gone.
.zdeferd-turn() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  if [[ $1 != ${_zdeferd[fd]-} ]]; then  # a handler that was ready before its end
    builtin zle -F $1
    return 0
  fi
  local -i finished=0
  {
    if [[ $_zdeferd[phase] == starting ]]; then
      .zdeferd-started && finished=1
    else
      .zdeferd-read && finished=1
    fi
  } always {
    (( finished )) || .zdeferd-end unanswered
  } 2>/dev/null
  return 0
}

# Takes in what has arrived; 1 where the visit cannot go on.
.zdeferd-read() {
  builtin emulate -L zsh -o warn_create_global
  local chunk frame
  local -i flags
  builtin sysread -i $_zdeferd[fd] -t 0 -s 16384 chunk || return 1
  _zdeferd[input]+=$chunk
  (( (_zdeferd[heard] += $#chunk) <= 16384 )) || return 1  # no daemon of ours says so much
  if [[ $_zdeferd[phase] == greeting ]]; then
    (( $#_zdeferd[input] < 64 )) && return 0
    [[ $_zdeferd[input] == $'\xff'????????$'\x7f'[^$'\0'-$'\2']?NULL* ]] || return 1
    _zdeferd[input]=${_zdeferd[input][65,-1]}
    _zdeferd[phase]=handshake
  fi
  while [[ -n ${_zdeferd[fd]-} ]]; do
    .zdeferd-cut || return $(( $? == 2 ))
    if (( flags & 4 )); then
      .zdeferd-command || return 1
    else
      [[ $_zdeferd[phase] == answer ]] || return 1
      _zdeferd[answer]+=$frame$'\0'
      (( $#_zdeferd[answer] <= 1024 )) || return 1
      (( flags & 1 )) || .zdeferd-answer || return 1
    fi
  done
  return 0
}

# Cuts one frame off the input, into `flags` and `frame`; 1: not all here yet, 2: rubbish.
.zdeferd-cut() {
  builtin emulate -L zsh -o warn_create_global
  local head=${_zdeferd[input][1]} length=${_zdeferd[input][2]}
  local -i size start=2
  (( $#_zdeferd[input] > 1 )) || return 1
  (( flags = #head ))
  (( flags > 7 )) && return 2
  if (( flags & 2 )); then
    (( $#_zdeferd[input] > 8 )) || return 1
    [[ ${_zdeferd[input][2,7]} == $'\0\0\0\0\0\0' ]] || return 2
    head=${_zdeferd[input][8]} length=${_zdeferd[input][9]} start=9
    (( size = #head << 8 ))
  fi
  (( size += #length ))
  (( $#_zdeferd[input] >= start + size )) || return 1
  frame=${_zdeferd[input][start+1,start+size]}
  _zdeferd[input]=${_zdeferd[input][start+size+1,-1]}
}

# READY opens the way for messages. Of the others only ERROR matters: it ends the visit.
.zdeferd-command() {
  builtin emulate -L zsh -o warn_create_global
  if [[ $_zdeferd[phase] == handshake ]]; then
    [[ $frame == $'\5READY'* ]] || return 1
    _zdeferd[phase]=answer _zdeferd[answer]=
    .zdeferd-send
  else
    [[ $frame != $'\5ERROR'* ]]
  fi
}

# A whole answer is here. `error` is final too: the message would be no better next time.
.zdeferd-answer() {
  builtin emulate -L zsh -o warn_create_global
  local -a answer=("${(@ps:\0:)_zdeferd[answer]}")
  _zdeferd[answer]=
  case $answer[1] in
    (ok) [[ $answer[2] == seq=$(( _zdeferd[seq] - $#_zdeferd_outbox + 1 )) ]] || return 1 ;;
    (error) _zdeferd[refused]=${answer[2]#reason=} ;;
    (*) return 1 ;;
  esac
  shift _zdeferd_outbox
  .zdeferd-send
}

# Sends the oldest message, packing one first where none is left over; ends the visit
# when there is nothing more to say. Never more than the socket's buffer takes at once.
.zdeferd-send() {
  builtin emulate -L zsh -o warn_create_global
  local -a ready
  local -i written=0
  (( $#_zdeferd_outbox )) || .zdeferd-pack
  if (( ! $#_zdeferd_outbox )); then
    .zdeferd-end answered
    return 0
  fi
  builtin zselect -t 0 -a ready -w $_zdeferd[fd] || return 1
  builtin syswrite -o $_zdeferd[fd] -c written -- $_zdeferd_outbox[1]
  (( written == $#_zdeferd_outbox[1] ))
}

# Ends the visit; $1 is `answered` or `unanswered`. What is left waits for a prompt.
.zdeferd-end() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local -i fd=${_zdeferd[fd]:--1}
  if (( fd >= 0 )); then
    builtin zle -F $fd  # before the close: the number may be somebody else's at once
    builtin exec {fd}>&-
  fi 2>/dev/null
  .zdeferd-unhook precmd_functions .zdeferd-precmd
  .zdeferd-unhook preexec_functions .zdeferd-preexec
  _zdeferd[fd]= _zdeferd[phase]= _zdeferd[input]= _zdeferd[answer]= _zdeferd[idle]=
  if [[ $1 == answered ]]; then
    _zdeferd[tries]=0
    unset '_zdeferd[given_up]'
  elif (( ++_zdeferd[tries] > 3 )); then
    _zdeferd[given_up]=1
  fi
  _zdeferd_armed=$+_zdeferd[given_up]
  if (( ! _zdeferd_armed && ($#_zdeferd_outbox || $#_zdeferd_queue || ! $+_zdeferd[prompted]) )); then
    zdeferd-arm
  fi
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

# Where no service manager starts the daemon, `zdeferctl install` leaves a marker with the
# program's path. Once a shell, and the only fork there is. 0: a daemon is being started, and
# the visit waits for it. `zdeferd --detach` ends, and with it the pipe, when the socket
# answers. In a bare `exec` the process becomes no job and no $!; it is in the shell's
# process group, though, and so must not hear a Ctrl-C at the prompt or the terminal's end.
.zdeferd-autostart() {
  builtin emulate -L zsh -o warn_create_global
  local marker=$HOME/.local/state program REPLY
  (( $+_zdeferd[started] )) && return 1
  [[ ${(t)XDG_STATE_HOME} == *export* && $XDG_STATE_HOME == /* ]] && marker=$XDG_STATE_HOME
  marker+=/zdeferd/autostart
  [[ -f $marker && ! -h $marker && -O $marker && -O ${marker:h} ]] || return 1
  IFS= builtin read -r program <$marker
  [[ $program == /* && -f $program && -x $program ]] || return 1
  _zdeferd[started]=1
  builtin exec {REPLY}< <(
    builtin trap '' INT QUIT HUP
    builtin exec $program --detach </dev/null 2>/dev/null
  )
  .zdeferd-hold $REPLY starting
  builtin zle -F $REPLY .zdeferd-turn
}

# The pipe's end: the daemon is there, or never will be. The pipe keeps its number until the
# connection has another: ZLE goes on to ignore a number that it has seen hung up.
.zdeferd-started() {
  builtin emulate -L zsh -o warn_create_global
  local -i fd=$_zdeferd[fd]
  builtin zle -F $fd
  _zdeferd[fd]=
  { .zdeferd-connect } always { builtin exec {fd}>&- }
}
