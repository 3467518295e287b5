# Reads the feature's file $1 in a zsh of its own and prints one finding a line, then `checked`.
#
# The file and its functions are called in subshells, so that none of them ends this one; the zsh has
# no registry at first, because a feature must do without.

emulate -R zsh -o extended_glob
file=$1 name=
typeset -A given
typeset -a keys=(name version phase depends default_enabled deferred description category since_stage guid)
categories='prompt|history|navigation|completion|integration|keybinding|search|safety|telemetry|extensibility|misc'

# Runs $@ and sets `said` to its output, stderr included, and `rc` to its status.
call() {
  said=$("$@" 2>&1 </dev/null)
  rc=$?
  said=${said//$'\n'/ }
}

# Prints what the metadata lack, and sets `given`.
read_metadata() {
  local line key
  for line in "${(@f)$(<$file)}"; do
    [[ $line == FEATURE_[A-Z_]##=* ]] || continue
    key=${(L)${${line%%=*}#FEATURE_}//I/i}
    (( ! $+given[$key] )) || print -r -- "FEATURE_${(U)key//i/I} is assigned twice"
    given[$key]=${(Q)${line#*=}}
  done
  wants name '[a-z0-9][a-z0-9_-]#' '1 to 64 of a-z, 0-9, _ and -'
  (( $#given[name] < 65 )) || print -r -- "FEATURE_NAME is longer than 64: $given[name]"
  wants version '<->.<->.<->([-+]*|)' 'a semantic version, such as 1.0.0'
  (( ! $+given[phase] )) || wants phase '[123]' '1, 2 or 3'
  (( ! $+given[depends] )) || wants depends '([a-z0-9_, -])#' 'names of features'
  (( ! $+given[default_enabled] )) || wants default_enabled 'yes|no' 'yes or no'
  (( ! $+given[deferred] )) || wants deferred 'yes|no' 'yes or no'
  (( ! $+given[category] )) || wants category $categories ${categories//\|/, }
  (( ! $+given[place] )) || wants place 'away|here' 'away or here'
}

wants() {
  if (( ! $+given[$1] )); then
    print -r -- "FEATURE_${(U)1//i/I} is missing: give it $3"
  elif [[ $given[$1] != (${~2}) ]]; then
    print -r -- "FEATURE_${(U)1//i/I} is ${(q+)given[$1]}: use $3"
  fi
}

# Prints what its functions do wrong.
check_functions() {
  local function said rc
  for function in metadata register init; do
    (( $+functions[feature_${name}_$function] )) || print -r -- "function is missing: feature_${name}_$function"
  done
  if (( $+functions[feature_${name}_register] )); then
    call feature_${name}_register
    (( ! rc )) && [[ -z $said ]] || print -r -- "feature_${name}_register without feature_registry_add: rc=$rc $said"
  fi
  if (( $+functions[feature_${name}__test_inject_failure] )); then
    said=$(feature_${name}__test_inject_failure 2>&1 >/dev/null) rc=$?
    (( rc == 42 )) && [[ -n $said && $said != *$'\n'* ]] ||
      print -r -- "feature_${name}__test_inject_failure: rc=$rc; it must print one line on stderr and return 42"
  fi
  check_metadata
  source ${${(%):-%x}:h:h}/features.zsh
  if (( $+functions[feature_${name}_is_enabled] )); then
    call feature_${name}_is_enabled
    (( rc < 2 )) && [[ -z $said ]] || print -r -- "feature_${name}_is_enabled: rc=$rc $said"
  fi
  check_registration
}

check_metadata() {
  (( $+functions[feature_${name}_metadata] )) || return 0
  local line key
  local -a found lines=("${(@f)$(feature_${name}_metadata 2>/dev/null </dev/null)}")
  for line in "${(@)lines}"; do
    key=${line%%=*}
    found+=("$key")
    [[ $+given[$key] == 0 || ${line#*=} == $given[$key] ]] ||
      print -r -- "feature_${name}_metadata: $line, but FEATURE_${(U)key//i/I}=${(q+)given[$key]}"
  done
  [[ "$found" == "$keys" ]] || print -r -- "feature_${name}_metadata prints: $found; it must print: $keys"
}

# Registers it, twice, with the real registry.
check_registration() {
  (( $+functions[feature_${name}_register] )) || return 0
  local said rc
  call eval "feature_${(q)name}_register && feature_${(q)name}_register && feature_registry_list"
  if [[ $said != $name\|phase=* || $rc != 0 ]]; then
    print -r -- "feature_${name}_register: rc=$rc ${said:-registers nothing}"
  elif [[ $said != "$name|phase=${given[phase]-2}|"*"|deferred=${given[deferred]-no}|category=${given[category]-misc}" ]]; then
    print -r -- "feature_${name}_register: $said, which is not what the metadata are"
  fi
}

if ! said=$(zsh -f -n -- $file 2>&1); then
  print -r -- "syntax: ${said//$'\n'/ }"
else
  read_metadata
  name=${given[name]-}
  call source $file
  [[ -z $said ]] || print -r -- "prints when it is read: $said"
  if (( rc )); then print -r -- "status when it is read: $rc"; fi
  if [[ $name == [a-z0-9][a-z0-9_-]# ]]; then
    source $file >/dev/null 2>&1 </dev/null
    check_functions
  fi
fi
print -r -- checked
