# git-segment: the branch in RPROMPT, without a process.
#
# The branch is read from the repository's HEAD. How many files differ from it takes git seconds in a
# large one: a job counts that for the repositories that were visited last, after the prompt of
# each new shell, and the prompt shows the count that it found (psvar[8]).

FEATURE_NAME="git-segment"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="2"
FEATURE_DEPENDS="prompt-core"
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="yes"
FEATURE_DESCRIPTION="The git branch, and how many files had changed"
FEATURE_CATEGORY="prompt"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a05"
FEATURE_PLACE="away"

feature_git-segment_metadata() {
  print -r -- "name=git-segment
version=1.0.0
phase=2
depends=prompt-core
default_enabled=yes
deferred=yes
description=The git branch, and how many files had changed
category=prompt
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a05"
}

feature_git-segment_is_enabled() {
  zf::feature::enabled git-segment yes
}

feature_git-segment_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add git-segment 2 "prompt-core" yes prompt "The git branch, and how many files had changed" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a05 away
}

feature_git-segment_init() {
  (( ${+_zf_git_segment} )) || typeset -gA _zf_git_segment
  [[ -n ${_zf_git_segment[on]-} ]] || _zf_git_segment[before]=${RPROMPT-}
  _zf_git_segment[on]=1
  _zf_git_segment[cache]=${XDG_CACHE_HOME:-$HOME/.cache}/zdeferd/git-segment
  RPROMPT="%(8V.%F{green}%8v%f.)${_zf_git_segment[before]:+ $_zf_git_segment[before]}"
  typeset -ga precmd_functions
  precmd_functions=("${(@)precmd_functions:#.zf-git-segment-precmd}" .zf-git-segment-precmd)
}

.zf-git-segment-precmd() {
  emulate -L zsh -o extended_glob
  local root=$PWD head line
  psvar[8]=
  while [[ ! -e $root/.git ]]; do
    [[ $root == /*/* ]] || return 0
    root=${root:h}
  done
  head=$root/.git
  if [[ -f $head ]]; then  # a worktree or a submodule
    line=$(<$head)
    head=${line#gitdir: }
    [[ $head == /* ]] || head=$root/$head
  fi
  [[ -f $head/HEAD && -r $head/HEAD ]] || return 0
  line=$(<$head/HEAD)
  line=${${line#ref: refs/heads/}[1,40]}
  [[ $line != [0-9a-f](#c40) ]] || line=${line[1,8]}
  [[ $line != .invalid ]] || line=reftable  # only git can read the branch then
  if [[ $root != ${_zf_git_segment[root]-} ]]; then
    _zf_git_segment[root]=$root
    .zf-git-segment-visited $root
  fi
  psvar[8]=$line${_zf_git_segment[changed]:+ *$_zf_git_segment[changed]}
}

# Notes the repository for the job, and reads what the job has found.
.zf-git-segment-visited() {
  emulate -L zsh
  local cache=$_zf_git_segment[cache] line
  _zf_git_segment[changed]=
  [[ $1 != *$'\n'* ]] || return 0
  {
    if [[ ! -d $cache ]]; then
      zmodload -F zsh/files b:zf_mkdir && zf_mkdir -p -m 700 -- $cache
    fi
    print -r -- $1 >>$cache/visited
    [[ -r $cache/changed ]] || return 0
    for line in ${(f)"$(<$cache/changed)"}; do
      [[ ${line#* } != $1 ]] || _zf_git_segment[changed]=${${line%% *}:#0}
    done
  } 2>/dev/null
  return 0
}

# Runs away from the shell: counts what has changed in the ten repositories that were visited last.
feature_git-segment_postprompt() {
  emulate -L zsh
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/zdeferd/git-segment root
  [[ -r $cache/visited ]] || return 0
  local -aU roots=(${(Oaf)"$(<$cache/visited)"})
  local -a changed
  umask 077
  roots=(${roots[1,10]})
  for root in $roots; do
    changed=(${(f)"$(git --no-optional-locks -C $root status --porcelain 2>/dev/null)"}) || continue
    print -r -- $#changed $root
  done >$cache/changed.$$
  mv -f -- $cache/changed.$$ $cache/changed
  print -rl -- ${(Oa)roots} >$cache/visited.$$ && mv -f -- $cache/visited.$$ $cache/visited
}

feature_git-segment_teardown() {
  [[ -n ${_zf_git_segment[on]-} ]] || return 0
  RPROMPT=$_zf_git_segment[before]
  precmd_functions=("${(@)precmd_functions:#.zf-git-segment-precmd}")
  psvar[8]=
  unset _zf_git_segment
}

feature_git-segment_self_check() {
  [[ $RPROMPT == *'%8v'* && ${+precmd_functions[(r).zf-git-segment-precmd]} == 1 ]]
}

feature_git-segment__test_inject_failure() {
  print -ru2 -- "git-segment: failure for a test"
  return 42
}

feature_git-segment_register
