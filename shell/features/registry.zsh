# The registry of features: what is registered, what is enabled, in which order. Sourced by
# features.zsh under the plugin's sticky options; docs/features.md is the interface.
#
# What runs a feature's functions is not here but in functions/zdeferd-feature-turns, because they
# have the options of the shell.
#
# State: `_zdeferd_features` has of each feature its values, joined by `|`, and is what counts: the
# parameters ZSH_FEATURE_REGISTRY_… are for others to read, and a feature may have removed entries
# there. `_zdeferd_feature_names` has the order of registration, `_zdeferd_feature_depends` the
# dependencies of those that have any,
# `_zdeferd_feature_enabled` the answers (yes, no) of this session, `_zdeferd_feature_off` and
# `_zdeferd_feature_failed` what takes no further part, `_zdeferd_feature_order` the order, empty
# where it must be found again, `_zdeferd_feature_skipped` what was disabled when it was found, and
# `_zdeferd_feature_posted` whose deferred part is registered.
# `_zdeferd_feature_guards` counts the calls under way that have put a function in place of `exit`.

(( ! ${+_zdeferd_features} )) || return 0
typeset -gA _zdeferd_features _zdeferd_feature_{depends,enabled,off,failed,posted}
typeset -ga _zdeferd_feature_names _zdeferd_feature_order _zdeferd_feature_skipped
typeset -gi _zdeferd_feature_guards
typeset -g _zdeferd_feature_exit
typeset -ga ZSH_FEATURE_REGISTRY_NAMES
typeset -gA ZSH_FEATURE_REGISTRY_{PHASE,DEPENDS,DEFERRED,CATEGORY,DESCRIPTION,GUID} ZSH_FEATURE_STATUS

feature_registry_init() { return 0 }

# Of these, the first call reads more.
.zdeferd-timed() { builtin source $_zdeferd_root/features/timings.zsh && $0 "$@" }
zf::deps::export() { builtin source $_zdeferd_root/features/deps.zsh && zf::deps::export "$@" }

# feature_registry_add NAME PHASE DEPENDS DEFERRED CATEGORY DESCRIPTION GUID [PLACE]
#
# A start-up pays for this: what most calls look like is taken at one look, and zdeferd-feature-odd
# refuses the others, or calls this again with what they mean. Few commands: each costs system calls.
# To append a pair costs half as much as to assign an element. debug_before_cmd: as in zf::defer::register.
feature_registry_add() {
  # What is printable ASCII but `|` is seen quickly; the second pattern is for the rest.
  [[ -n $2 && $4 == (yes|no) && -n $5 && ( -z $8 || $8 == (away|here) ) && -v ZSH_FEATURE_REGISTRY_GUID &&
    ( $1 == [a-z0-9](#c1,64) ||
      $1 == [a-z0-9][a-z0-9_-](#c0,63) && -z $_zdeferd_features[(i)${1//[-_]/[-_]}] ) &&
    ! -v _zdeferd_features[$1] && ( $#_zdeferd_feature_enabled == 0 || ! -v _zdeferd_feature_enabled[$1] ) &&
    ( "$2$3$5$6$7" == [\ -\{\}\~]# || "$2$3$5$6$7" != *[\|$'\1'-$'\x1f\x7f'$'\0']* ) &&
    ( -z $3 || $3 != *(,|  )* && $3 != (\ *|*\ ) && -n ${_zdeferd_feature_depends[$1]::=$3} ) ]] &&
    _zdeferd_features+=("$1" "$2|$3|$4|$5|$6|$7|${8:-away}") _zdeferd_feature_names+=("$1") \
    _zdeferd_feature_order=() ZSH_FEATURE_REGISTRY_NAMES+=("$1") \
    ZSH_FEATURE_REGISTRY_PHASE+=("$1" "$2") ZSH_FEATURE_REGISTRY_DEPENDS+=("$1" "$3") \
    ZSH_FEATURE_REGISTRY_DEFERRED+=("$1" "$4") ZSH_FEATURE_REGISTRY_CATEGORY+=("$1" "$5") \
    ZSH_FEATURE_REGISTRY_DESCRIPTION+=("$1" "$6") ZSH_FEATURE_REGISTRY_GUID+=("$1" "$7") &&
    builtin setopt debug_before_cmd || { builtin trap - DEBUG ZERR; zdeferd-feature-odd "$@" }
}

# zf::feature::enabled NAME [yes|no]: 0 where it is enabled, by the five rules.
zf::feature::enabled() {
  builtin trap - DEBUG ZERR
  local variable=ZSH_FEATURE_${(U)${1//-/_}//i/I}_ENABLED
  local off=" ${ZSH_FEATURES_DISABLE//[,[:space:]]/ } " on=" ${ZSH_FEATURES_ENABLE//[,[:space:]]/ } "
  [[ -n $1 && $off != *' all '* ]] || return 1
  if [[ $variable == [A-Z0-9_]## ]] && (( ${(P)+variable} )); then
    [[ ${(PL)variable} == (1|true|yes|on|enable|enabled) ]]
  elif [[ $off == *" $1 "* ]]; then
    return 1
  else
    [[ $on == *" $1 "* || ${(L)2:-yes} == (1|true|yes|on|enable|enabled) ]]
  fi
}

# Whether there is a function is asked with `functions +W`, which is silent: it would take away a flag for
# warnings that no function here has. It costs a third of `$+functions`.

# Answers for the names in $@, or for all, where they have not been asked about; in `_zdeferd_asked` of its caller those
# whose own function must be asked, under the shell's options.
.zdeferd-feature-ask() {
  builtin trap - DEBUG ZERR
  local name variable off=" ${ZSH_FEATURES_DISABLE//[,[:space:]]/ } "
  local -a known
  local -i all=0
  if (( ! $# )); then
    known=(${(k)_zdeferd_feature_enabled})
    set -- ${_zdeferd_feature_names:|known}
    (( $# )) && ! .zdeferd-feature-default "$@" || return 0
  fi
  [[ $off != *" all "* ]] || all=1
  for name; do
    [[ -n $name && -z ${_zdeferd_feature_enabled[$name]-} ]] || continue
    if (( all )) || [[ -n ${_zdeferd_feature_off[$name]-} ]]; then
      _zdeferd_feature_enabled[$name]=no
    elif (( $+_zdeferd_features[$name] && $+functions[feature_${name}_is_enabled] )); then
      _zdeferd_asked+=($name)
    elif variable=ZSH_FEATURE_${(U)${name//-/_}//i/I}_ENABLED && [[ $off != *" $name "* && $variable != *[^A-Z0-9_]* ]] &&
      (( ! ${(P)+variable} )); then
      _zdeferd_feature_enabled[$name]=yes  # the default; the other rules are asked for the rest
    elif zf::feature::enabled $name; then
      _zdeferd_feature_enabled[$name]=yes
    else
      _zdeferd_feature_enabled[$name]=no
    fi
  done
  return 0
}

# Enables the registered features $@, but for those that have a function to be asked; 1 where a variable
# may say otherwise.
.zdeferd-feature-default() {
  [[ -z $ZSH_FEATURES_DISABLE && $#_zdeferd_feature_off == 0 && -z $parameters[(I)ZSH_FEATURE_*_ENABLED] ]] || return
  local name
  local -a yes=(yes)
  for name; do builtin functions +W feature_${name}_is_enabled && _zdeferd_asked+=($name); done
  (( ! $#_zdeferd_asked )) || set -- ${@:|_zdeferd_asked}
  (( ! $# )) || _zdeferd_feature_enabled+=(${@:^^yes})
}

.zdeferd-feature-is-enabled() {
  builtin trap - DEBUG ZERR
  [[ ${_zdeferd_feature_enabled[${1:- }]-} == yes ]]
}

# Sets in its caller `order` (the enabled names) and `unmet` (pairs: a feature, a dependency that is
# unknown or disabled); 1 where there is a cycle, whose features are in `cycle`, and in `loops` with those around them.
#
# The features by phase and registration are the order, if each dependency comes before: that is
# found in one pass. Only else there is more to do.
.zdeferd-feature-order() {
  builtin trap - DEBUG ZERR
  local name next phase
  local -i tangled=0
  local -a on=(${(k)_zdeferd_feature_enabled[(R)yes]}) numbers linked=(${(k)_zdeferd_feature_depends}) found
  local -A ranks
  order=($_zdeferd_feature_names) found=(${(k)_zdeferd_features[(R)2\|*]})
  if (( $#found < $#order )); then  # not all have the default
    order=()
    for phase in 1 2 3; do
      found=(${(k)_zdeferd_features[(R)$phase\|*]})
      order+=(${_zdeferd_feature_names:*found})
    done
  fi
  (( $#order == $#_zdeferd_feature_names )) || zdeferd-feature-phased
  order=(${order:*on}) linked=(${order:*linked})
  (( $#linked )) || return 0
  numbers=({1..$#order})
  ranks=(${order:^numbers})
  for name in $linked; do
    for next in ${(us: :)_zdeferd_feature_depends[$name]}; do
      if (( ! $+ranks[$next] )); then
        unmet+=($name $next)
      elif (( $ranks[$next] >= $ranks[$name] )); then
        tangled=1
      fi
    done
  done
  (( ! tangled )) || zdeferd-feature-untangle
}

# Warns of each pair in `unmet`.
.zdeferd-feature-warn() {
  builtin trap - DEBUG ZERR
  local name on why
  for name on in $unmet; do
    why=unknown
    (( ! $+_zdeferd_features[$on] )) || why=disabled
    zf::warn "feature $name: depends on $on, which is $why; it is taken as satisfied"
  done
  return 0
}

.zdeferd-feature-resolve-order() {
  builtin trap - DEBUG ZERR
  local name
  local -a order unmet cycle
  local -A loops
  .zdeferd-feature-order
  .zdeferd-feature-warn
  for name in $cycle; do
    zf::err "feature $name: depends on itself through: $loops[$name]; remove one dependency"
  done
  (( ! $#cycle )) || return
  builtin print -r -- "${(j: :)order}"
}

# Sets `_zdeferd_turns` of its caller to the features whose turn in the phase $1 has come; 2 where $1 is
# no phase. Where features must be asked first whether they are enabled, only sets `_zdeferd_asked`.
.zdeferd-feature-due() {
  builtin trap - DEBUG ZERR
  if [[ $1 != (preload|init|postprompt) ]]; then
    zf::err "feature_registry_invoke_phase: unknown phase: ${(q+)1-}; use preload, init or postprompt"
    return 2
  fi
  local name
  local -a order unmet cycle failed deferred
  local -A loops
  if (( ! $#_zdeferd_feature_order )); then
    .zdeferd-feature-ask
    (( ! $#_zdeferd_asked )) || return 0
    if ! .zdeferd-feature-order; then
      zf::err "features depend on themselves: ${(j: :)cycle}; all run in order of registration"
      order=(${(k)_zdeferd_feature_enabled[(R)yes]})
      order=(${_zdeferd_feature_names:*order})
    fi
    _zdeferd_feature_order=($order) _zdeferd_feature_skipped=(${_zdeferd_feature_names:|order})
    (( ! $#unmet )) || .zdeferd-feature-warn
  fi
  [[ ${(t)ZSH_FEATURE_STATUS} == association ]] || zdeferd-feature-mend ZSH_FEATURE_STATUS
  for name in $_zdeferd_feature_skipped; do ZSH_FEATURE_STATUS[$name]=skipped; done
  failed=(${(k)_zdeferd_feature_failed} ${${${(M)funcstack:#feature_*_$1}#feature_}%_$1})  # and those that call us
  order=(${_zdeferd_feature_order:|failed})
  if [[ $1 == postprompt ]]; then
    deferred=(${(k)_zdeferd_features[(R)[^\|]#\|[^\|]#\|yes\|*]})
    order=(${order:*deferred})
  fi
  # An init is looked for at its turn: nearly all features have one.
  [[ $1 != init ]] || { _zdeferd_turns=($order) && return 0 }
  for name in $order; do
    builtin functions +W feature_${name}_$1 || continue
    if [[ $1 == postprompt ]]; then .zdeferd-feature-post $name; else _zdeferd_turns+=($name); fi
  done
  return 0
}

# Registers the part of the deferred feature $1 that comes behind the prompt, once a shell; a script has none.
.zdeferd-feature-post() {
  local -a values=("${(@s:|:)_zdeferd_features[$1]}")
  [[ -o interactive ]] && (( ! $+_zdeferd_feature_posted[$1] )) || return 0
  _zdeferd_feature_posted[$1]=$values[7]
  if [[ $values[7] == here ]]; then
    builtin source $_zdeferd_root/live/here.zsh
    .zdeferd-here-push ${1//_/-} 0 '' '' zdeferd-feature-here $1
    return 0
  fi
  zf::defer::register ${1//_/-} feature_${1}_postprompt postprompt "$values[5]"
}

# A function of the feature (or file) $2, called for $1, has returned $3, empty for 0.
.zdeferd-feature-ended() {
  builtin trap - DEBUG ZERR
  if [[ -n $3 ]]; then
    zdeferd-feature-failed "$@"
    return 0
  fi
  case $1 in
    (is_enabled) _zdeferd_feature_enabled[$2]=yes ;;
    (preload|init|postprompt)
      [[ ${(t)ZSH_FEATURE_STATUS} == association ]] || zdeferd-feature-mend ZSH_FEATURE_STATUS
      ZSH_FEATURE_STATUS[$2]=ok ;;
  esac
}

# Disables the feature $1 for the rest of the session; 1 where there is none.
.zdeferd-feature-off() {
  builtin trap - DEBUG ZERR
  if (( ! $+_zdeferd_features[${1:- }] )); then
    zf::err "zsh-features: off: no such feature: ${(q+)1}; zsh-features status lists them"
    return 1
  fi
  [[ ${(t)ZSH_FEATURE_STATUS} == association ]] || zdeferd-feature-mend ZSH_FEATURE_STATUS
  _zdeferd_feature_off[$1]=1 _zdeferd_feature_enabled[$1]=no ZSH_FEATURE_STATUS[$1]=skipped
  _zdeferd_feature_order=()
  (( ! $#_zdeferd_here )) || _zdeferd_here=("${(@)_zdeferd_here:#*$'\0'zdeferd-feature-here$'\0'$1}")
  _zdeferd_queue=("${(@)_zdeferd_queue:#defer$'\0'${1//_/-}$'\0'feature_${1}_postprompt$'\0'*}")  # not sent yet
}

# While a feature's function runs, `exit` by that name ends this function alone, unless it is called
# in a subshell. A function of the user's with that name is back afterwards.
.zdeferd-feature-guard() {
  (( _zdeferd_feature_guards++ )) && return 0
  (( ! $+functions[exit] )) || builtin functions -c exit .zdeferd-exit-before
  exit() { local -i rc=$?; .zdeferd-feature-exit "${1-$rc}" }
  _zdeferd_feature_exit=$functions[exit]
}

.zdeferd-feature-unguard() {
  (( --_zdeferd_feature_guards )) && return 0
  if [[ ${functions[exit]-} == $_zdeferd_feature_exit ]]; then  # else the feature has made its own
    builtin unfunction exit
    (( ! $+functions[.zdeferd-exit-before] )) || builtin functions -c .zdeferd-exit-before exit
  fi
  (( ! $+functions[.zdeferd-exit-before] )) || builtin unfunction .zdeferd-exit-before
  return 0
}

# `_zdeferd_level` and `_zdeferd_rc` are locals of zdeferd-feature-turns.
.zdeferd-feature-exit() {
  [[ $ZSH_SUBSHELL == $_zdeferd_level ]] || builtin exit $1
  _zdeferd_rc=${${(M)1:#<->}:-1}
  # `eval` and `source` forget an error, but not an interrupt.
  { .zdeferd-feature-raise } always { TRY_BLOCK_INTERRUPT=1 }
}

# A SIGTERM, which an interactive zsh else ignores.
.zdeferd-feature-term() {
  _zdeferd_rc=143
  .zdeferd-feature-raise
}

# Raises an error without a message: assigns to what is read-only.
.zdeferd-feature-raise() {
  local -r raised
  (( TRY_BLOCK_ERROR )) || TRY_BLOCK_ERROR=1  # inside an `always` the error would be forgotten
  raised= 2>/dev/null
}

builtin autoload -Uz $_zdeferd_root/features/functions/zdeferd-feature-{mend,utf8,odd,phased,failed,unended,faults,untangle,cycles,rows,status,new,files,check,help,refuse}
