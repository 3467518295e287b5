# noop: does nothing, so that a configuration can be tried with it.

FEATURE_NAME="noop"
FEATURE_VERSION="1.0.0"
FEATURE_PHASE="1"
FEATURE_DEPENDS=""
FEATURE_DEFAULT_ENABLED="yes"
FEATURE_DEFERRED="no"
FEATURE_DESCRIPTION="Does nothing"
FEATURE_CATEGORY="misc"
FEATURE_SINCE_STAGE=""
FEATURE_GUID="5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a01"
FEATURE_PLACE="away"

feature_noop_metadata() {
  print -r -- "name=noop
version=1.0.0
phase=1
depends=
default_enabled=yes
deferred=no
description=Does nothing
category=misc
since_stage=
guid=5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a01"
}

feature_noop_is_enabled() {
  zf::feature::enabled noop yes
}

feature_noop_register() {
  (( ${+functions[feature_registry_add]} )) || return 0
  feature_registry_add noop 1 "" no misc "Does nothing" 5b0c1d52-6a0e-4d6b-9a39-2f1f3c7c0a01 away
}

feature_noop_init() {
  noop::ping() { return 0 }
}

feature_noop_teardown() {
  if (( ${+functions[noop::ping]} )); then unfunction noop::ping; fi
}

feature_noop_self_check() {
  (( ${+functions[noop::ping]} ))
}

feature_noop__test_inject_failure() {
  print -ru2 -- "noop: failure for a test"
  return 42
}

feature_noop_register
