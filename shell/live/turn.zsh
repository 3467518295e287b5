# Turns of the queue of live/here.zsh: one command a turn, keys first. Sourced after the prompt, under
# the plugin's sticky options.
#
# The timer evaluates `_zdeferd_text` at the top level of the shell: no function's scope, the user's own
# options. In it .zdeferd-here-go picks the command, live/command.zsh runs it (a file, so that `return`
# ends the command alone), .zdeferd-here-ended takes its status, and .zdeferd-here-status puts $? and $_
# back. Our own lines have no output, so xtrace shows none of them; the `&&` keeps ERR_EXIT and ZERR away
# from a status that is the user's.
#
# The command's standard input is the terminal, opened for writing alone: it gives no key away. Its
# output goes to a file without a name, and above the prompt when it has ended. `exit` is replaced
# (live/guard.zsh).
#
# State: `_zdeferd_turn` is `command` or `hook` while a command or a function of precmd runs, else
# empty; `_zdeferd_words` what runs, `_zdeferd_rc` its status, where that is not 0, `_zdeferd_raised`
# is 1 until it has ended without an error. `_zdeferd_hooks` are the functions of precmd that are still
# to run. `_zdeferd_shown` has the rest.

typeset -g _zdeferd_turn _zdeferd_rc _zdeferd_raised _zdeferd_out _zdeferd_err _zdeferd_tty
typeset -ga _zdeferd_words _zdeferd_hooks
typeset -gA _zdeferd_shown
(( $+functions[.zdeferd-here-guard] )) || builtin source $_zdeferd_root/live/guard.zsh

# Makes ready what is to run; 1 where nothing is. $1: the user's $?.
.zdeferd-here-go() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  [[ -z $_zdeferd_turn || $_zdeferd_turn == hook ]] || return 1  # a command that has ZLE read a key
  [[ $_zdeferd_turn == hook ]] || _zdeferd_shown=(status "$1")
  _zdeferd_rc= _zdeferd_raised=1
  if [[ $_zdeferd_turn == hook ]]; then
    _zdeferd_words=($_zdeferd_hooks[1])
    shift _zdeferd_hooks
    return 0
  fi
  .zdeferd-here-may || return 1
  local -i pick wait
  .zdeferd-here-pick
  if (( ! pick )); then
    (( ! wait )) || builtin sched +$(( (wait + 999) / 1000 )) $_zdeferd_text
    .zdeferd-here-told
    return 1
  fi
  .zdeferd-here-begin $pick
}

# Whether a command may run now. No command runs during a visit: what it starts would inherit the
# visit's descriptor. The end of each visit arms the queue; a daemon that does not answer for two
# seconds has its visit ended.
.zdeferd-here-may() {
  builtin emulate -L zsh -o warn_create_global
  (( $#_zdeferd_here )) || return 1
  if [[ $zsh_eval_context[1] != (shfunc|sched) ]] || ! builtin zle; then  # no prompt is up
    .zdeferd-here-later
    return 1
  fi
  if [[ -n ${_zdeferd[fd]-} && $_zdeferd[phase] != (starting|waiting) ]]; then
    (( SECONDS < ${_zdeferd[patience]:-0} )) || .zdeferd-end unanswered
    return 1
  fi
  if .zdeferd-typed; then
    .zdeferd-here-arm key
    return 1
  fi
  _zdeferd[yielded]=0
}

# Sets `pick` of its caller to the place of the command whose turn it is, or 0, and `wait` to the
# milliseconds until there may be one. A command behind `-t` or `--after` holds up no other; one of
# zsh-defer does, as there. Where commands come after each other in a circle, the first runs.
.zdeferd-here-pick() {
  builtin emulate -L zsh -o warn_create_global
  local -i now="${(%)_zdeferd_clock} / 1000000" at held=0
  local -a one after names=("${(@)_zdeferd_here%%$'\0'*}") others
  for (( at = 1; at <= $#_zdeferd_here; at++ )); do
    one=("${(@ps:\0:)_zdeferd_here[at]}")
    if [[ $one[2] == +* ]]; then
      one[2]=$(( now + one[2] ))
      _zdeferd_here[at]=${(pj:\0:)one}
    fi
    if (( one[2] > now )); then
      (( wait && wait < one[2] - now )) || wait=$(( one[2] - now ))
      [[ $one[4] != *=* ]] || break
      continue
    fi
    after=(${=one[3]}) others=($names)
    others[at]=()
    if [[ -n ${after:*others} ]]; then
      (( held )) || held=at
      continue
    fi
    pick=at
    return 0
  done
  (( wait )) || pick=held
}

# Takes the command at the place $1 out of the queue, and makes all ready for it.
.zdeferd-here-begin() {
  builtin emulate -L zsh -o warn_create_global
  local -a one=("${(@ps:\0:)_zdeferd_here[$1]}")
  local -i fd=-1
  local REPLY
  _zdeferd_here[$1]=()
  [[ $_zdeferd[phase] != waiting ]] || .zdeferd-end waiting  # another visit waits, behind the last command
  _zdeferd_turn=command _zdeferd_words=("${(@)one[5,-1]}")
  [[ $one[4] != c* ]] || _zdeferd_words=(builtin eval "$one[5]")
  _zdeferd_tty=${TTY:-/dev/null} _zdeferd_out=$_zdeferd_tty
  [[ $OSTYPE == linux* ]] && builtin exec {fd}<<<''
  if [[ -s /dev/fd/$fd ]]; then
    _zdeferd_out=/dev/fd/$fd
  else
    (( fd < 0 )) || { builtin exec {fd}>&-; fd=-1 }  # the folder of temporary files is full
    [[ $one[4] == *=*1*2* ]] || builtin zle -I
  fi
  _zdeferd_err=$_zdeferd_out
  _zdeferd_shown+=(name "$one[1]" flags "$one[4]" fd $fd)
  if [[ $one[4] == *=* ]]; then
    typeset -g zsh_defer_options=${one[4]#*=}${(M)one[4]#c}
    [[ $one[4] != *=*1* ]] || _zdeferd_out=/dev/null
    [[ $one[4] != *=*2* ]] || _zdeferd_err=/dev/null
  fi
  .zdeferd-here-guard
  .zdeferd-here-look
  _zdeferd_shown[look]=$REPLY
  _zdeferd_shown[begun]=${(%)_zdeferd_clock}
}

# Sets REPLY to all that makes the prompt be drawn again where it changes.
.zdeferd-here-look() {
  builtin emulate -L zsh -o warn_create_global
  local -a hooks=(${(kv)widgets[(I)zle-*]})
  typeset -g REPLY="$PROMPT"$'\0'"$RPROMPT"$'\0'"$PROMPT2"$'\0'"$psvar"$'\0'"$precmd_functions"$'\0'"${functions[precmd]-}"
  REPLY+=$'\0'"$PWD"$'\0'"$hooks"
}

# Takes the status of a command or function that has run. Where the prompt has changed, the functions
# of precmd run, each by the timer as the command was.
.zdeferd-here-ended() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  [[ $_zdeferd_turn == hook ]] || .zdeferd-here-done
  if (( $#_zdeferd_hooks )); then
    _zdeferd_turn=hook
    builtin sched +0 $_zdeferd_text
  else
    { .zdeferd-here-show } always {
      TRY_BLOCK_ERROR=0 TRY_BLOCK_INTERRUPT=0  # Ctrl-C while it shows: the next one has its turn
      .zdeferd-here-over
    }
  fi
}

# The command has ended: what is to be said of it, and whether precmd is to run.
.zdeferd-here-done() {
  builtin emulate -L zsh -o warn_create_global
  local flags=$_zdeferd_shown[flags] rc=${_zdeferd_rc:-${_zdeferd_raised:-0}} REPLY
  local -i ms="(${(%)_zdeferd_clock} - $_zdeferd_shown[begun]) / 1000000"
  .zdeferd-here-unguard
  unset zsh_defer_options
  [[ $rc == <0-255> ]] || rc=255
  _zdeferd_done+=(done id=$_zdeferd_shown[name] ms=$(( ms < 0 ? 0 : ms )) rc=$rc)
  [[ $rc != 130 || -z $_zdeferd_raised ]] ||
    builtin print -r -- "zdefer: here: $_zdeferd_shown[name]: interrupted after $ms ms; the next one has its turn" >>$_zdeferd_out
  (( ! $+_zdeferd[leaving] || ! $#_zdeferd_here )) ||
    builtin print -r -- "zdefer: here: the plugin is unloaded; not run: ${(j:, :)${(@)_zdeferd_here%%$'\0'*}}" >>$_zdeferd_out
  .zdeferd-here-look
  if [[ $flags == *=* ]]; then
    [[ $flags != *=*m* ]] || _zdeferd_shown[changed]=1
  elif [[ $REPLY != $_zdeferd_shown[look] ]]; then
    _zdeferd_shown[changed]=1
  fi
  [[ -n $_zdeferd_shown[changed] ]] || return 0
  local name
  for name in precmd ${precmd_functions:#.zdeferd-*}; do
    (( ! $+functions[$name] )) || _zdeferd_hooks+=($name)
  done
}

# Shows what the command has printed above the prompt, and draws the prompt again where that is due.
.zdeferd-here-show() {
  builtin emulate -L zsh -o warn_create_global
  local flags=$_zdeferd_shown[flags]
  local -i fd=$_zdeferd_shown[fd]
  (( fd < 0 )) || { .zdeferd-here-print >$_zdeferd_tty } always { builtin exec {fd}>&- }
  if [[ $flags == *=* ]]; then
    .zdeferd-here-flags
  elif [[ -n $_zdeferd_shown[changed]$_zdeferd_shown[lines] ]]; then
    .zdeferd-here-draw
  fi
}

# Draws the prompt again. After `zle -I` ZLE takes itself to be below the old prompt, and reset-prompt
# alone would go up from there, over the last line of the output: -R draws the prompt below it first.
.zdeferd-here-draw() {
  builtin emulate -L zsh -o warn_create_global
  builtin zle -R
  builtin zle reset-prompt
}

# Prints what is in the file of its caller's `fd`: 1 MiB of it, during which no key is heard.
.zdeferd-here-print() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local chunk bare
  local -i count=16
  builtin zmodload -F zsh/system +b:sysread
  builtin sysread -i $fd -s 1 chunk  # the newline that a here-string has
  while builtin sysread -i $fd -s 65536 chunk; do
    (( count-- )) || {
      chunk=$'\n'"zdefer: here: $_zdeferd_shown[name]: printed more than 1 MiB;"
      chunk+=$' the rest is not shown: send it to a file\n'
    }
    # A sequence that only sets a title, or the form of the cursor, moves nothing.
    bare=${${chunk//$'\e]'[^$'\a\e']#($'\a'|$'\e\\')}//$'\e['([0-9 ]#q|\?[0-9;]#[hl])}
    [[ -n $bare && -z $_zdeferd_shown[lines] ]] && { builtin zle -I; _zdeferd_shown[lines]=1 }
    builtin print -rn -- "$chunk"
    (( count >= 0 )) || break
  done
  [[ -z $_zdeferd_shown[lines] || $bare == *$'\n' ]] || builtin print
}

# The rest of zsh-defer's options.
.zdeferd-here-flags() {
  builtin emulate -L zsh -o warn_create_global
  [[ $flags != *=*s* ]] || (( ! $+widgets[autosuggest-fetch] )) || builtin zle autosuggest-fetch
  [[ $flags != *=*z* ]] || (( ! $+_ZSH_HIGHLIGHT_PRIOR_BUFFER )) || typeset -g _ZSH_HIGHLIGHT_PRIOR_BUFFER=
  [[ $flags != *=*p* && -z $_zdeferd_shown[lines] ]] || .zdeferd-here-draw
  [[ $flags != *=*r* ]] || builtin zle -R
}

# The turn is over.
.zdeferd-here-over() {
  builtin emulate -L zsh -o warn_create_global
  _zdeferd_turn=
  if (( ! $+_zdeferd[leaving] && $#_zdeferd_here )); then
    builtin sched +0 $_zdeferd_text
  else
    .zdeferd-here-told
  fi
}

# Has the daemon told what has ended.
.zdeferd-here-told() {
  builtin emulate -L zsh -o warn_create_global
  (( ! $#_zdeferd_done || $+_zdeferd[given_up] )) || zdeferd-arm
}

# The user's $? again, and the user's $_, which is $1; the plugin is gone where a command has asked for that.
.zdeferd-here-status() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  local rc=${_zdeferd_shown[status]:-0}
  [[ -n $_zdeferd_turn ]] || (( ! $+_zdeferd[leaving] )) || zdeferd_plugin_unload
  return $rc
}
