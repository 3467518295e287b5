# The feature layer: the one file to source for it, after zdeferd.plugin.zsh or alone, twice without
# harm. What is needed at start-up is read here; the rest is in features/functions/.
#
# Words are quoted, and functions keep zsh's own options, as zdeferd.plugin.zsh says. What runs the
# user's commands is marked for loading outside of those options.

[[ -n ${_zdeferd_root-} ]] || {
  'builtin' 'typeset' '-g' "_zdeferd_root=${(%):-%x}"
  [[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}
  [[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
  _zdeferd_root=${_zdeferd_root:h}
}
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/features/layer.zsh"'
# What runs the user's commands has the user's options. No braces: ignore_braces may be on.
'builtin' 'autoload' '-Uz' "$_zdeferd_root/features/functions/zf::segment::wrap" \
  "$_zdeferd_root/features/functions/zf::segment::source" \
  "$_zdeferd_root/features/functions/zf::with_timing" \
  "$_zdeferd_root/features/functions/_zsh_perf_segment_wrap" \
  "$_zdeferd_root/features/functions/_zsh_perf_source_probe"
