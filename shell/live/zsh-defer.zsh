# zsh-defer, with the options of the plugin of that name, for the queue of live/here.zsh: see
# docs/live-shell.md. Sourced by `zdefer here --zsh-defer`, under the plugin's sticky options.

# zsh-defer [{+|-}12dmszpra] [-t SECONDS] WORD... | -c CODE: 1 for a call that cannot be understood.
zsh-defer() {
  builtin emulate -L zsh -o warn_create_global -o extended_glob && builtin trap - DEBUG ZERR
  local word flags=12dmszpr code seconds=0 problem REPLY
  local -i coded=0
  while [[ -z $problem && $1 == [-+]?* ]]; do
    word=$1
    shift
    [[ $word != -- ]] || break
    .zdeferd-zsh-defer-word "$@"
    shift $REPLY
  done
  [[ $problem != help ]] || { builtin autoload -Uz $_zdeferd_root/functions/zdeferd-help && zdeferd-help; return 0 }
  [[ $seconds == (|+)(<->(|.<->)|.<->)(|[eE](|-|+)<->) && $#seconds -lt 12 ]] ||
    problem=${problem:-"bad value for -t: ${(q+)seconds}; use a number of seconds, such as 2 or 0.5"}
  (( ! coded || ! $# )) || problem=${problem:-"unexpected argument: ${(q+)1}; -c takes one"}
  (( coded || $# )) || problem=${problem:-'nothing to run'}
  if [[ -n $problem ]]; then
    builtin print -ru2 -- "zsh-defer: $problem; zsh-defer [{+|-}12dmszpra] [-t SECONDS] WORD... | -c CODE"
    return 1
  fi
  (( ! coded )) || set -- "$code"
  flags="=${(j::)${(@M)${(s::):-12dmszpr}:#[$flags]}}"
  (( ! coded )) || flags=c$flags
  .zdeferd-here-name "$@"
  .zdeferd-here-push $REPLY $seconds '' $flags "$@"
}

# Takes in the options of `word` of its caller; a value may be $1, and REPLY is then 1.
.zdeferd-zsh-defer-word() {
  builtin emulate -L zsh -o warn_create_global
  local sign=$word[1] letter
  typeset -g REPLY=0
  word=${word[2,-1]}
  while [[ -n $word && -z $problem ]]; do
    letter=$word[1] word=${word[2,-1]}
    case $sign$letter in
      (-h) problem=help ;;
      (-a) flags= ;;
      (+a) flags=12dmszpr ;;
      (-[12dmszpr]) flags=${flags//$letter} ;;
      (+[12dmszpr]) flags+=$letter ;;
      (-[ct])
        [[ -n $word ]] || { word=${1-} REPLY=1; (( $# )) || problem="no value for: -$letter" REPLY=0 }
        if [[ $letter == t ]]; then seconds=$word; else code=$word coded=1; fi
        word= ;;
      (*) problem="unknown option: ${(q+):-$sign$letter}" ;;
    esac
  done
}
