# zf::deps::export: what depends on what, as JSON or DOT. Sourced at the first call.
#
# Sources: the registry of features, and `ZF_MODULE_DEPENDENCIES` (module -> dependencies). A node is
# `kind`, its id, and `true`, `false` or `null`; an edge is `kind`, from, to; both joined by NUL, and
# sorted in byte order.

zf::deps::export() {
  builtin trap - DEBUG ZERR
  local format=json file=- only=all generated=
  local -i disabled=1 header=1
  local -a nodes edges
  .zdeferd-deps-options "$@" || return $(( $? == 1 ))
  (( ! header )) || .zdeferd-deps-instant
  [[ $only == features ]] || .zdeferd-deps-modules
  [[ $only == modules ]] || .zdeferd-deps-features
  .zdeferd-deps-sorted
  local text MATCH MBEGIN MEND
  .zdeferd-deps-$format
  if [[ $file == - ]]; then
    builtin print -r -- $text
  else
    .zdeferd-deps-write
  fi
}

# Reads the options into the locals of zf::deps::export. 1: bad ones, with a line; 2: help was asked for.
.zdeferd-deps-options() {
  local usage='zf::deps::export [--format=json|dot] [--json] [--dot] [--output FILE|-] [--only=modules|features|all] [--include-disabled|--exclude-disabled] [--no-header]'
  local bad
  while (( $# )) && [[ -z $bad ]]; do
    case $1 in
      (--json|--dot) format=${1#--} ;;
      (--format|--only|--output|-o)
        (( $# > 1 )) || { bad="$1: no value"; break }
        set -- "${${1/#-o/--output}}=$2" "${@[3,-1]}"
        continue ;;
      (--format=(json|dot)) format=${1#*=} ;;
      (--only=(modules|features|all)) only=${1#*=} ;;
      (--output=?*) file=${1#*=} ;;
      (-o?*) file=${1#-o} ;;
      (--include-disabled) disabled=1 ;;
      (--exclude-disabled) disabled=0 ;;
      (--no-header) header=0 ;;
      (-h|--help) builtin print -r -- "usage: $usage"; return 2 ;;
      (*) bad="bad argument: ${(q+)1}" ;;
    esac
    shift
  done
  [[ -n $bad ]] || return 0
  builtin print -ru2 -- "zf::deps::export: $bad; $usage"
  return 1
}

# Sets `generated` to now, or to SOURCE_DATE_EPOCH, in UTC.
.zdeferd-deps-instant() {
  local -i now=${(%):-%D{%s}}
  [[ ${SOURCE_DATE_EPOCH-} != <0-99999999999> ]] || now=$SOURCE_DATE_EPOCH
  # The calendar of UTC, by whole numbers: strftime would take the shell's zone, and a module.
  local -i days=now/86400 second=now%86400
  local -i shifted=days+719468
  local -i era=shifted/146097
  local -i of_era=shifted-era*146097
  local -i year_of_era='(of_era - of_era/1460 + of_era/36524 - of_era/146096) / 365'
  local -i of_year='of_era - (365*year_of_era + year_of_era/4 - year_of_era/100)'
  local -i part='(5*of_year + 2) / 153'
  local -i day='of_year - (153*part + 2)/5 + 1' month='part < 10 ? part + 3 : part - 9'
  local -i year='year_of_era + era*400 + (month < 3)'
  generated="${(l:4::0:)year}-${(l:2::0:)month}-${(l:2::0:)day}T${(l:2::0:)$(( second/3600 ))}"
  generated+=":${(l:2::0:)$(( second/60%60 ))}:${(l:2::0:)$(( second%60 ))}Z"
}

.zdeferd-deps-modules() {
  [[ ${(t)ZF_MODULE_DEPENDENCIES-} == association* ]] || return 0
  local name state
  local -A known
  for name in ${(k)ZF_MODULE_DEPENDENCIES}; do
    state=_LOADED_${(U)${name//-/_}//i/I}
    [[ $state == [A-Z0-9_]## && ${(P)+state} == 1 &&
      -z ${(M)${(s: :)${(j: :)ZF_DISABLED_MODULES}//[,[:space:]]/ }:#${(b)name}} ]] && state=true || state=false
    known[$name]=$state
  done
  for name in ${(k)known}; do
    .zdeferd-deps-add module $name $known[$name] ${(s: :)${ZF_MODULE_DEPENDENCIES[$name]//[,[:space:]]/ }}
  done
}

.zdeferd-deps-features() {
  local name state
  local -A known
  for name in ${ZSH_FEATURE_REGISTRY_NAMES-}; do
    feature_registry_is_enabled $name && state=true || state=false
    known[$name]=$state
  done
  for name in ${ZSH_FEATURE_REGISTRY_NAMES-}; do
    .zdeferd-deps-add feature $name $known[$name] ${(s: :)${ZSH_FEATURE_REGISTRY_DEPENDS[$name]//[,[:space:]]/ }}
  done
}

# Adds the node $2 of the kind $1, whose state is $3, its edges to $4..., and nodes that are only named.
.zdeferd-deps-add() {
  local kind=$1 name=$2 state=$3 other
  (( ! disabled )) && [[ $state == false ]] || nodes+=($kind$'\0'$name$'\0'$state)
  shift 3
  for other in "$@"; do
    (( $+known[$other] )) || nodes+=($kind$'\0'$other$'\0'null)
    (( disabled )) || [[ $state != false && ${known[$other]-} != false ]] || continue
    edges+=($kind$'\0'$name$'\0'$other)
  done
}

# Modules before features, each in byte order, nothing twice.
.zdeferd-deps-sorted() {
  local LC_ALL=C
  nodes=("${(@uo)${(@M)nodes:#module*}}" "${(@uo)${(@M)nodes:#feature*}}")
  edges=("${(@uo)${(@M)edges:#module*}}" "${(@uo)${(@M)edges:#feature*}}")
  # Neither JSON nor a line of DOT has a control byte.
  nodes=("${(@)${(@)nodes:#}//[$'\1'-$'\x1f\x7f']/ }") edges=("${(@)${(@)edges:#}//[$'\1'-$'\x1f\x7f']/ }")
  zdeferd-feature-utf8 nodes edges
}

# Sets `text` to the JSON document.
.zdeferd-deps-json() {
  local one line
  local -a lines word
  text='{'$'\n  "version": 1,\n'
  [[ -z $generated ]] || text+=$'  "generated_at": "'$generated$'",\n'
  text+=$'  "source": "zdeferd",\n  "filters": {"only":"'$only'","include_disabled":'
  (( disabled )) && text+=true || text+=false
  text+=$'},\n  "nodes": ['
  for one in $nodes; do
    word=("${(@ps:\0:)one//(#m)[\"\\]/\\$MATCH}")
    lines+=('    {"id":"'$word[2]'","kind":"'$word[1]'","group":"'$word[1]'","enabled":'$word[3]'}')
  done
  (( ! $#lines )) || text+=$'\n'${(pj:,\n:)lines}$'\n  '
  text+=$'],\n  "edges": ['
  lines=()
  for one in $edges; do
    word=("${(@ps:\0:)one//(#m)[\"\\]/\\$MATCH}")
    line=feature_dep
    [[ $word[1] != module ]] || line=declared
    lines+=('    {"from":"'$word[2]'","to":"'$word[3]'","kind":"'$line'","group":"'$word[1]'"}')
  done
  (( ! $#lines )) || text+=$'\n'${(pj:,\n:)lines}$'\n  '
  text+=$']\n}'
}

# Sets `text` to the graph in the language of Graphviz.
.zdeferd-deps-dot() {
  local one
  local -a lines word
  local -A look=(true '"white",color="black"' false '"gray90",color="gray50"' null '"lemonchiffon",color="goldenrod"')
  [[ -z $generated ]] || lines+=("// generated_at $generated")
  lines+=('digraph zsh_deps {' '  rankdir=LR;' '  node [shape=box,fontsize=11];')
  for one in $nodes; do
    word=("${(@ps:\0:)one//(#m)[\"\\]/\\$MATCH}")
    lines+=('  "'$word[2]'" [style=filled,fillcolor='$look[$word[3]]',label="'$word[2]'\n('$word[1]')"];')
  done
  for one in $edges; do
    word=("${(@ps:\0:)one//(#m)[\"\\]/\\$MATCH}")
    lines+=('  "'$word[2]'" -> "'$word[3]'" [label="'${${(M)word[1]:#module}:+decl}${${(M)word[1]:#feature}:+feat}'",fontsize=9];')
  done
  text=${(pj:\n:)lines}$'\n}'
}

# Writes `text` to `file`: beside it and by rename, so that a FILE that was there stays as it is where
# that fails. A path that is no regular file is written to as it is.
.zdeferd-deps-write() {
  local into=${file:A} fresh
  local -a mode
  fresh=$into.zdeferd-new.$$
  {
    if [[ $file == /dev/* || -h $into || -e $into && ! -f $into ]]; then
      builtin print -r -- $text >$file && return 0
    elif [[ ! -e $into || -w $into ]] && builtin print -r -- $text >$fresh; then
      if [[ -e $into ]]; then  # its mode stays
        builtin zmodload -F zsh/stat b:zstat && builtin zstat -A mode +mode $into &&
          builtin zmodload -F zsh/files b:zf_chmod && builtin zf_chmod $(( [##8] mode[1] & 8#7777 )) -- $fresh
      fi
      builtin zmodload -F zsh/files b:zf_mv && builtin zf_mv -f -- $fresh $into && return 0
    fi
    [[ ! -f $fresh ]] || { builtin zmodload -F zsh/files b:zf_rm && builtin zf_rm -f -- $fresh }
  } 2>/dev/null
  builtin print -ru2 -- "zf::deps::export: cannot write: ${(q+)file}; name another file"
  return 1
}
