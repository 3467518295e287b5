# The exchange: what a visit receives and sends, once the daemon's greeting is here.
#
# Sourced in a shell's first visit; visit.zsh has all turns. The wire is ZMTP
# 3.0 (rfc.zeromq.org/spec/23), NULL mechanism, as a DEALER. Nothing may be sent behind READY
# before the peer's READY is here: libzmq loses it silently.

builtin source "$_zdeferd_root/defer/message.zsh" || return 1
builtin autoload -Uz $_zdeferd_root/functions/zdeferd-complete
_zdeferd[exchange]=1

# Takes in what has arrived; 1 where the visit cannot go on.
.zdeferd-read() {
  builtin emulate -L zsh -o warn_create_global
  local chunk frame
  local -i flags
  # 4: nothing is there, as the timer's turn (zdeferd-tick) has read it
  builtin sysread -i $_zdeferd[fd] -t 0 -s 16384 chunk || return $(( $? != 4 ))
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
      [[ $_zdeferd[phase] == (answer|waiting) ]] || return 1
      _zdeferd[answer]+=$frame$'\0'
      (( $#_zdeferd[answer] <= 8192 )) || return 1
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

# READY opens the way for messages. Of the others ERROR matters, which ends the visit, and PING to a
# shell that waits.
.zdeferd-command() {
  builtin emulate -L zsh -o warn_create_global
  if [[ $_zdeferd[phase] == handshake ]]; then
    [[ $frame == $'\5READY'* ]] || return 1
    _zdeferd[phase]=answer _zdeferd[answer]=
    [[ -z $_zdeferd[prepared] ]] || .zdeferd-send
  elif [[ $_zdeferd[phase] == waiting && $frame == $'\4PING'* ]]; then
    .zdeferd-pong
  else
    [[ $frame != $'\5ERROR'* ]]
  fi
}

# Packs what is due, where nothing is left over, with the user's options in `_zdeferd_options`.
# Always 0: errexit may be on outside.
.zdeferd-say() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  [[ -n ${_zdeferd[fd]-} ]] || return 0  # the visit has ended
  (( $#_zdeferd_outbox )) || .zdeferd-look-up  # before there is a local
  local -i _zdeferd_said=0
  {
    (( $#_zdeferd_outbox )) || .zdeferd-pack
    _zdeferd[prepared]=1
    if [[ $_zdeferd[phase] != answer ]] || .zdeferd-send; then _zdeferd_said=1; fi
  } always {
    (( _zdeferd_said )) || .zdeferd-end unanswered
  }
  return 0
}

# The visit is over: all of us into memory, and what completes us. Not while the daemon takes in
# what was said: where many shells start at once, it needs the processor.
.zdeferd-settle() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  [[ $_zdeferd[soon] == .zdeferd-settle ]] || return 0
  .zdeferd-typed && return 0
  builtin zle -F $1
  _zdeferd[kick]=
  {
    (( $+_zdeferd[whole] )) || .zdeferd-load
    (( $+_zdeferd[completing] || ! $+functions[compdef] )) || zdeferd-complete
  } 2>/dev/null
  return 0
}

# A whole answer is here. `error` is final too: the message would be no better next time. No aliases,
# because a file may be read.
.zdeferd-answer() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases
  local -a answer=("${(@ps:\0:)_zdeferd[answer]}")
  _zdeferd[answer]=
  if (( $+_zdeferd_applied )) && [[ $answer[1] == (apply|over) ]]; then
    .zdeferd-told "${(@)answer}"
    return 0
  fi
  (( $#_zdeferd_outbox )) || return 1  # to what?
  case $answer[1] in
    (ok) [[ $answer[2] == seq=$(( _zdeferd[seq] - $#_zdeferd_outbox + 1 )) ]] || return 1 ;;
    (error) ;;  # zdeferd's log has the reason
    (*) return 1 ;;
  esac
  if [[ $answer[1] == ok ]] && (( ++_zdeferd[piece] < ($#_zdeferd_outbox[1] - 1) / 64000 + 1 &&
    $#_zdeferd_outbox[1] > _zdeferd_limit )); then
    .zdeferd-send
    return
  fi
  _zdeferd[piece]=0
  if [[ ${answer[3]-} == (wait|over|follow)=* ]] &&
    { (( $+_zdeferd_applied )) || builtin source $_zdeferd_root/live/apply.zsh 2>/dev/null }; then
    .zdeferd-note "${(@)answer[3,-1]}"
  fi
  if [[ ${answer[-2]} == notice=* ]]; then  # behind the last frame an empty word is left
    builtin zle -M "${(@F)${(@M)answer:#notice=*}#notice=}"
  fi
  shift _zdeferd_outbox
  if (( $#_zdeferd_outbox || ! ($#_zdeferd_queue || ${_zdeferd[asks]:-0}) )); then
    .zdeferd-send
  else
    .zdeferd-soon .zdeferd-prepare  # registered meanwhile, or not asked yet
  fi
}

# Sends the oldest message, or of a large one the next piece; ends the visit when there is nothing
# more to say. Never more than the socket's buffer takes at once.
.zdeferd-send() {
  builtin emulate -L zsh -o warn_create_global
  local -a ready
  local -i written=0
  if (( ! $#_zdeferd_outbox )); then
    (( $#_zdeferd_awaited )) || .zdeferd-end answered
    .zdeferd-soon .zdeferd-settle
    (( ! $#_zdeferd_awaited )) || .zdeferd-wait
    return 0
  fi
  local message=$_zdeferd_outbox[1]
  (( $#message <= _zdeferd_most )) || return 1
  (( $#message <= _zdeferd_limit )) || .zdeferd-piece
  builtin zselect -t 0 -a ready -w $_zdeferd[fd] || return 1
  builtin syswrite -o $_zdeferd[fd] -c written -- $message
  (( written == $#message ))
}

# Makes of `message` a message with the piece of it that comes next: of 64,000 bytes, the last one
# of what is left.
.zdeferd-piece() {
  builtin emulate -L zsh -o warn_create_global
  local _zdeferd_encoded
  local -i from=_zdeferd[piece]*64000+1
  local -a _zdeferd_frames=(hello protocol=2 nonce=$_zdeferd[nonce]
    seq=$(( _zdeferd[seq] - $#_zdeferd_outbox + 1 )) version=$_zdeferd_version
    piece number=$(( _zdeferd[piece] + 1 )) of=$(( ($#message - 1) / 64000 + 1 ))
    bytes=${message[from,from+63999]})
  .zdeferd-encode
  message=$_zdeferd_encoded
}

# What a live shell may need when our files have been removed, or are those of another version.
.zdeferd-load() {
  builtin emulate -L zsh -o warn_create_global
  local name
  _zdeferd[whole]=1
  for name in zdefer zdeferd-{verb,add,arm,check,doubt,inside,refuse,register,socket,tick} zdeferd_plugin_unload \
    zf::idle::{register,run_if_ready}
  do
    [[ $functions[$name] != 'builtin autoload -X'* ]] || builtin autoload +X $name
  done >/dev/null 2>&1
}

# Where no service manager starts the daemon, `zdeferctl install` leaves a marker with the
# program's path. Once a shell, and the only fork there is. 0: a daemon is being started, and
# the visit waits for it. `zdeferd --detach` ends, and with it the pipe, when the socket
# answers. In a bare `exec` the process becomes no job and no $!; it is in the shell's
# process group, though, and so must not hear a Ctrl-C at the prompt or the terminal's end.
.zdeferd-autostart() {
  builtin emulate -L zsh -o warn_create_global
  local marker program REPLY
  [[ ${ZDEFERD_AUTOSTART-1} != 0 ]] || return 1
  (( $+_zdeferd[started] )) && return 1
  .zdeferd-state
  marker=$REPLY/autostart
  [[ -f $marker && ! -h $marker && -O $marker && -O ${marker:h} ]] || return 1
  IFS= builtin read -r program <$marker
  [[ $program == /* && -f $program && -x $program ]] || return 1
  _zdeferd[started]=$SECONDS
  builtin exec {REPLY}< <(
    builtin trap '' INT QUIT HUP
    builtin unset -m 'PYTHON*'  # these are meant for the user's own programs
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
  _zdeferd[started]=-100  # no reason any more to wait for it
  builtin zle -F $fd
  _zdeferd[fd]=
  { .zdeferd-connect } always { builtin exec {fd}>&- }
}
