# zdeferd: hands slow start-up work to a daemon, after the prompt is drawn.
#
# All that happens while a shell starts is here and in registration.zsh: a few
# functions are defined, a few marked for autoloading, and one function is appended to
# precmd_functions. The rest is read after the first prompt (visit.zsh, message.zsh).
#
# The functions are defined inside this `emulate -c`, and so carry its options with
# them ("sticky" emulation, zshbuiltins(1)): zsh switches before their first command
# runs, and back after their last. With debug_before_cmd off, a DEBUG trap would fire
# after each command, and the first command of each function puts it out of the way.
# That is why neither xtrace nor a trap of the user's ever sees a line of ours.
#
# The words are quoted because an alias may hide behind any of them. $0 is found as the
# zsh plugin standard says, but not assigned: it is the user's.

'builtin' 'typeset' '-g' "_zdeferd_root=${${ZERO:-${${0:#$ZSH_ARGZERO}:-${(%):-%N}}}:h}"
[[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
'builtin' 'emulate' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' \
  '-c' 'builtin source "$_zdeferd_root/registration.zsh"'
