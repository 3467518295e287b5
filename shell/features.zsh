# The feature layer: the one file to source for it, after zdeferd.plugin.zsh or alone, twice without
# harm. Alone it loads the plugin, which hands over what features defer; without a daemon that does
# nothing. What is needed at start-up is read here, the rest at need.
#
# Words are quoted, and functions keep zsh's own options, as zdeferd.plugin.zsh says.

# `test`, because an alias may stand for each reserved word.
'builtin' 'test' '-n' "${_zdeferd_armed-}" || 'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-c' \
  'typeset -g _zdeferd_root=${(%):-%x}; [[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}; _zdeferd_root=${${(M)_zdeferd_root:#/*}:-$PWD/$_zdeferd_root}; _zdeferd_root=${_zdeferd_root:h}'
'builtin' 'test' '-n' "${_zdeferd_armed-}" ||
  ZERO="$_zdeferd_root/zdeferd.plugin.zsh" 'builtin' 'source' "$_zdeferd_root/zdeferd.plugin.zsh"
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/features/registry.zsh"'
# What calls the user's functions, or finds out what is enabled, is not under our options.

# feature_registry_invoke_phase PHASE: calls what the enabled features have for preload, init or
# postprompt; 2 where PHASE is another word, else 0.
feature_registry_invoke_phase() zdeferd-feature-turns phase "$@"

'builtin' 'autoload' '-Uz' "$_zdeferd_root/features/functions/zsh-features" \
  "$_zdeferd_root/features/functions/feature_registry_is_enabled" \
  "$_zdeferd_root/features/functions/feature_registry_resolve_order" \
  "$_zdeferd_root/features/functions/feature_registry_list" \
  "$_zdeferd_root/features/functions/feature_registry_dump_table" \
  "$_zdeferd_root/features/functions/feature_registry_self_check" \
  "$_zdeferd_root/features/functions/zdeferd-feature-turns" \
  "$_zdeferd_root/features/functions/zdeferd-feature-source" \
  "$_zdeferd_root/features/functions/zdeferd-feature-settle" \
  "$_zdeferd_root/features/functions/zdeferd-feature-load" \
  "$_zdeferd_root/features/functions/zdeferd-feature-off" \
  "$_zdeferd_root/features/functions/zdeferd-feature-here"
