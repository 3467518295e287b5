# zdeferd: hands slow start-up work to a daemon, after the prompt. defer/visit.zsh says how.
# Quoted words: an alias may hide behind any. $0 is found as the zsh plugin standard says,
# but not assigned: it is the user's. What is defined inside `emulate -c` keeps its options.

'builtin' 'typeset' '-g' "_zdeferd_root=${${ZERO:-${${0:#$ZSH_ARGZERO}:-${(%):-%N}}}:h}"
[[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
'builtin' 'emulate' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/defer/register.zsh"'
