# zdeferd: hands slow start-up work to a daemon, after the prompt. defer/visit.zsh says how.
# Quoted words, because each may be an alias, `[[` and `if` too. The file is what the zsh plugin standard calls
# ZERO, else %x, which no option changes; $0 stays the user's. What is defined inside `emulate -c` keeps
# its options: all of zsh's own (-R), so that none of the user's changes how our code runs. A link to
# this file alone is followed.

'builtin' 'typeset' '-g' "_zdeferd_root=${${(M)${ZERO:-${(%):-%x}}:#/*}:-$PWD/${ZERO:-${(%):-%x}}}"
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-o' 'no_xtrace' '-o' 'no_verbose' \
  '-o' 'no_debug_before_cmd' '-o' 'local_options' '-o' 'local_traps' '-o' 'no_multibyte' \
  '-o' 'extended_glob' '-o' 'warn_create_global' '-c' \
  '[[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}; builtin source ${_zdeferd_root::=${_zdeferd_root:h}}/defer/register.zsh'
# With the shell's own options.
'builtin' 'autoload' '-Uz' "$_zdeferd_root/functions/zdefer" "$_zdeferd_root/features/functions/zdeferd-around"
# Segments around the user's commands, which have the user's options. No braces here, because an alias may
# stand for one: zdeferd-around has them, is read without aliases, and only once.

# LABEL [PHASE] -- COMMAND...: times COMMAND; its status, 1 without COMMAND.
zf::segment::wrap() zdeferd-around wrap "$@"

# LABEL FILE [PHASE]: times a file that is sourced; its status, 0 where it is unreadable.
zf::segment::source() zdeferd-around source "$@"

# LABEL COMMAND...: the same for COMMAND, with a line only where ZF_WITH_TIMING_SEGMENTS=1.
zf::with_timing() zdeferd-around timing "$@"

# Older names.
_zsh_perf_segment_wrap() zf::segment::wrap "$@"
_zsh_perf_source_probe() zf::segment::source "$@"
