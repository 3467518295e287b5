# zdefer eval where its cache is not there; zdeferd-eval sources this file. attempts/checks.py has
# .zdeferd-declares too, for what is about to become a cache: a runner has no path to this folder.

# Whether the code $1 does at its top level what a function around it would change: declares parameters,
# sets traps or local options, reads more code. In doubt 0. zsh prints the body of each function in
# lines of its own, which are passed over.
.zdeferd-declares() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob
  local word='typeset|declare|local|integer|float|readonly|private|nameref|trap|TRAPEXIT|emulate'
  word="($word|eval|source|(#i)local(|_)(opt[iI]ons|traps))"
  word="((|*[^a-zA-Z0-9_-])$word(|[^a-zA-Z0-9_-]*)|(|*[[:space:];&|({]).[[:blank:]]*)"
  [[ $1 == ${~word} ]] || return 1
  (( $#1 <= 4194304 )) && functions[.zdeferd-examined]=$1 || return 0
  local line bare end
  local -a lines=("${(@f)functions[.zdeferd-examined]}")
  builtin unfunction .zdeferd-examined
  for line in "${(@)lines}"; do
    if [[ -n $end ]]; then
      [[ $line != $end* ]] || end=
      continue
    fi
    bare=${line##$'\t'#}
    [[ $bare != ${~word} ]] || return 0
    [[ $bare != *'() {' ]] || end=${line%"$bare"}'}'
  done
  return 1
}

# How the code in `_zdeferd_code` of zdefer, which COMMAND has printed, is to run: into `_zdeferd_how`.
zdeferd-eval-look() {
  builtin emulate -L zsh -o warn_create_global && builtin trap - DEBUG ZERR
  _zdeferd_how=text
  ! .zdeferd-declares "$_zdeferd_code" 2>/dev/null || _zdeferd_how=text-caller
}
