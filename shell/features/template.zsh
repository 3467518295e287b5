# @NAME@: say here in one line what the user gets.

FEATURE_NAME="@NAME@"
FEATURE_VERSION="0.1.0"
FEATURE_PHASE="2"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="no"
FEATURE_DESCRIPTION="@NAME@"
FEATURE_CATEGORY="misc"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="@GUID@"
FEATURE_PLACE="away"

feature_@NAME@_metadata() {
  print -r -- "name=@NAME@
version=0.1.0
phase=2
depends=
default_enabled=yes
deferred=no
description=@NAME@
category=misc
since_stage=
guid=@GUID@"
}

# ZSH_FEATURE_@VARIABLE@_ENABLED=no switches it off.
feature_@NAME@_is_enabled() {
  zf::feature::enabled @NAME@ yes
}

feature_@NAME@_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add @NAME@ 2 "" no misc "@NAME@" @GUID@ away
}

# All that the user sees; may run twice.
feature_@NAME@_init() {
  return 0
}

# Undoes init.
feature_@NAME@_teardown() {
  return 0
}

# 0 where what init has set is still there.
feature_@NAME@_self_check() {
  return 0
}

feature_@NAME@__test_inject_failure() {
  print -ru2 -- "@NAME@: failure for a test"
  return 42
}

feature_@NAME@_register
