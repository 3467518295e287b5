# The feature layer: the one file to source for it, after zdeferd.plugin.zsh or alone, twice without
# harm. Alone it loads the plugin, which hands over what features defer; without a daemon that does
# nothing. What is needed at start-up is read here, the rest at need.
#
# Words are quoted, and functions keep zsh's own options, as zdeferd.plugin.zsh says.

[[ -n ${_zdeferd_armed-} ]] || {
  'builtin' 'typeset' '-g' "_zdeferd_root=${(%):-%x}"
  [[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}
  [[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
  _zdeferd_root=${_zdeferd_root:h}
  ZERO="$_zdeferd_root/zdeferd.plugin.zsh" 'builtin' 'source' "$_zdeferd_root/zdeferd.plugin.zsh"
}
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/features/layer.zsh"'
