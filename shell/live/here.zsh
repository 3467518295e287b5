# Work for this shell, after the prompt: the queue, and `zdefer here`, which fills it.
#
# Sourced at the first call that queues something, under the plugin's sticky options. live/turn.zsh
# takes from the queue; it is read after the prompt.
#
# State: `_zdeferd_here` has of each command its name, the milliseconds it is to wait (`+N`; once ZLE
# has waited, the instant), the names it comes after (joined by blanks), flags, and its words, all
# joined by NUL. Flags: `c`: one word, zsh code; `=` and letters: the options of zsh-defer.
# `_zdeferd_done` has what is to be said of commands to the daemon (the records of a message).

(( ! ${+_zdeferd_here} )) || return 0
typeset -ga _zdeferd_here _zdeferd_done
typeset -g _zdeferd_under  # the user's $_, which is lost where the timer comes first
# What the timer evaluates for each turn: live/turn.zsh.
typeset -g _zdeferd_text='{ {
if .zdeferd-here-go "$?"; then
{
'\''builtin'\'' '\''source'\'' "$_zdeferd_root/live/command.zsh"
_zdeferd_raised=
} always {
[[ $TRY_BLOCK_INTERRUPT == 0 || -n $_zdeferd_rc ]] || _zdeferd_rc=130
TRY_BLOCK_ERROR=0 TRY_BLOCK_INTERRUPT=0
}
.zdeferd-here-ended
fi
.zdeferd-here-status "$_zdeferd_under"
} && [[ -n 1 ]]
} >/dev/null 2>&1'

# .zdeferd-here-push NAME SECONDS AFTER FLAGS WORD...: queues a command. In a shell that has no prompts
# there is no queue.
.zdeferd-here-push() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob && builtin trap - DEBUG ZERR
  [[ -o interactive && $ZSH_SUBSHELL == 0 && ${(t)ZSH_EXECUTION_STRING} != scalar ]] || return 0
  local -i ms
  (( ms = ${2:-0} * 1000 ))
  set -- "$1" +$ms "${(@)argv[3,-1]//$'\0'}"
  _zdeferd_here+=("${(pj:\0:)@}")
  # Else the end of the turn, or of the visit, does it.
  [[ -n ${_zdeferd_turn-} ]] || (( _zdeferd_armed && ! $+_zdeferd[given_up] )) || .zdeferd-here-arm
}

# Has ZLE call zdeferd-here-kick as soon as it waits for keys; as .zdeferd-soon, but a visit does not take
# the place. Behind a function that `sched` called, the timer calls instead.
.zdeferd-here-arm() {
  builtin emulate -L zsh -o warn_create_global
  if [[ $zsh_eval_context[1] == sched && -n ${_zdeferd_text-} && $1 != key ]]; then
    builtin sched +0 $_zdeferd_text
    return 0
  fi
  local -i number=800
  while [[ -e /dev/fd/$number ]]; do number+=1; done
  builtin zle -F $number zdeferd-here-kick
}

# A visit has begun: has the timer look whether it is over in two seconds.
.zdeferd-here-wait() {
  builtin emulate -L zsh -o warn_create_global
  _zdeferd[patience]=$(( SECONDS + 1 ))
  .zdeferd-here-load && builtin sched +2 $_zdeferd_text
}

# Reads live/turn.zsh; 1 where zsh has no `sched`.
.zdeferd-here-load() {
  builtin emulate -L zsh -o warn_create_global -o no_aliases
  {
    (( $+functions[.zdeferd-here-go] )) || builtin source $_zdeferd_root/live/turn.zsh
    builtin zmodload zsh/sched
  } 2>/dev/null
}

# Called by ZLE: nothing is typed. The command runs at the top level of the shell, where the timer runs
# what `sched` was given: outside every function. Without that module, as a trap of this function.
zdeferd-here-kick() {
  _zdeferd_under=$_
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  builtin zle -F $1
  if [[ $zsh_eval_context[1] != (shfunc|sched) ]]; then  # `vared` in a command: not yet
    .zdeferd-here-later
    return 0
  fi
  if .zdeferd-here-load; then
    builtin sched +0 $_zdeferd_text
  else
    builtin trap 'builtin eval "$_zdeferd_text"' EXIT
  fi
  return 0
}

# Leaves the queue to the next prompt.
.zdeferd-here-later() {
  builtin emulate -L zsh -o warn_create_global
  typeset -ga precmd_functions
  (( $precmd_functions[(Ie).zdeferd-here-precmd] )) || precmd_functions+=(.zdeferd-here-precmd)
}

.zdeferd-here-precmd() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  precmd_functions=("${(@)precmd_functions:#.zdeferd-here-precmd}")
  .zdeferd-here-arm
}

# Sets REPLY to the name of a command: its words in lower case, joined by `-`, what no id may have as `-`.
.zdeferd-here-name() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  typeset -g REPLY=${${(L)${(j:-:)@}//I/i}//[^a-z0-9-]/-}
  REPLY=${${REPLY##-#}[1,64]}
  REPLY=${REPLY:-here}
}

# zdefer here: 1 for a bad value, 2 for a call that cannot be understood.
zdeferd-here() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob -o no_aliases && builtin trap - DEBUG ZERR
  local name seconds=0 problem REPLY
  local -aU after
  local -i named
  while [[ -z $problem && $1 == -?* && $1 != -- ]]; do
    [[ $1 != --[a-z-]##=* ]] || set -- "${1%%=*}" "${1#*=}" "${@[2,-1]}"
    case $1 in
      (-h|--help) zdeferd-help; return 0 ;;
      (--zsh-defer)
        (( $# == 1 )) || problem="unexpected argument: ${(q+)2}; --zsh-defer takes none"
        [[ -n $problem ]] || { builtin source $_zdeferd_root/live/zsh-defer.zsh; return } ;;
      (-n|-t|--after)
        (( $# > 1 )) || problem="no value for: $1" ;;
      (*) problem="unknown option: ${(q+)1}" ;;
    esac
    case $1 in
      (-n) name=$2 named=1 ;;
      (-t) seconds=$2 ;;
      (--after) after+=("$2") ;;
    esac
    shift $(( $# > 1 ? 2 : 1 ))
  done
  [[ $1 != -- ]] || shift
  [[ -n $problem || $# -gt 0 && -n ${1//[[:space:]]} ]] || problem='nothing to run'
  if [[ -n $problem ]]; then
    builtin print -ru2 -- "zdefer: here: $problem; zdefer here [-n NAME] [-t SECONDS] [--after NAME] [--] COMMAND..."
    return 2
  fi
  (( named )) || { .zdeferd-here-name "$@"; name=$REPLY }
  .zdeferd-here-check "$name" "$seconds" "${(@)after}" || return
  .zdeferd-here-push "$name" $seconds "$after" "${${(M)#:#1}:+c}" "$@"
}

# Says what is wrong with a name ($1, $3...) or a number of seconds ($2); 1 where something is.
.zdeferd-here-check() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local name
  for name in "$1" "${(@)argv[3,-1]}"; do
    [[ $name != (-*|*[^a-z0-9-]*|) && $#name -le 64 ]] && continue
    builtin print -ru2 -- "zdefer: here: bad name: ${(q+)name}; use 1 to 64 of a-z, 0-9 and -, not - first"
    return 1
  done
  [[ $2 == (<->(|.<->)|.<->) && $#2 -lt 10 ]] && return 0
  builtin print -ru2 -- "zdefer: here: bad value for -t: ${(q+)2}; use a number of seconds, such as 2 or 0.5"
  return 1
}
