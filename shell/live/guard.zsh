# While a command of the queue runs, `exit` by that name ends that command alone, unless it is called
# in a subshell. A function of the user's with that name is back afterwards. (Those of features, in
# features/registry.zsh, are for start-up, which pays for each file that it reads.)

typeset -g _zdeferd_here_exit

.zdeferd-here-guard() {
  builtin emulate -L zsh -o warn_create_global
  (( ! $+functions[exit] )) || builtin functions -c exit .zdeferd-here-exit-before
  exit() { local -i rc=$?; .zdeferd-here-exit "${1-$rc}" }
  _zdeferd_here_exit=$functions[exit]
}

.zdeferd-here-unguard() {
  builtin emulate -L zsh -o warn_create_global
  if [[ ${functions[exit]-} == $_zdeferd_here_exit ]]; then  # else the code has made its own
    builtin unfunction exit
    (( ! $+functions[.zdeferd-here-exit-before] )) || builtin functions -c .zdeferd-here-exit-before exit
  fi
  (( ! $+functions[.zdeferd-here-exit-before] )) || builtin unfunction .zdeferd-here-exit-before
  return 0
}

.zdeferd-here-exit() {
  builtin emulate -L zsh -o warn_create_global
  [[ $ZSH_SUBSHELL == 0 ]] || builtin exit $1
  _zdeferd_rc=${${(M)1:#<->}:-1}
  # `eval` and `source` forget an error, but not an interrupt.
  { .zdeferd-here-raise } always { TRY_BLOCK_INTERRUPT=1 }
}

# Raises an error without a message: assigns to what is read-only.
.zdeferd-here-raise() {
  builtin emulate -L zsh -o warn_create_global
  local -r raised
  (( TRY_BLOCK_ERROR )) || TRY_BLOCK_ERROR=1  # inside an `always` the error would be forgotten
  raised= 2>/dev/null
}
