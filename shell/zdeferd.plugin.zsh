# zdeferd: hands slow start-up work to a daemon, after the prompt. defer/visit.zsh says how.
# Quoted words, because each may be an alias. The file is what the zsh plugin standard calls ZERO,
# else %x, which no option changes; $0 stays the user's. What is defined inside `emulate -c` keeps
# its options: all of zsh's own (-R), so that none of the user's changes how our code runs.

'builtin' 'typeset' '-g' "_zdeferd_root=${ZERO:-${(%):-%x}}"
[[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}  # a link to this file alone
[[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
_zdeferd_root=${_zdeferd_root:h}
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/defer/register.zsh"'
# What runs the user's commands has the user's options. No braces: ignore_braces may be on.
'builtin' 'autoload' '-Uz' "$_zdeferd_root/features/functions/zf::segment::wrap" \
  "$_zdeferd_root/features/functions/zf::segment::source" \
  "$_zdeferd_root/features/functions/zf::with_timing" \
  "$_zdeferd_root/features/functions/_zsh_perf_segment_wrap" \
  "$_zdeferd_root/features/functions/_zsh_perf_source_probe"
