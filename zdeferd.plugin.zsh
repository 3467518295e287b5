# For plugin managers, which clone the whole repository: the shim is in shell/.
'builtin' 'typeset' '-g' "_zdeferd_root=${${(M)${ZERO:-${(%):-%x}}:#/*}:-$PWD/${ZERO:-${(%):-%x}}}"
'builtin' 'emulate' '-R' 'zsh' '-o' 'no_aliases' '-c' \
  '[[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}; _zdeferd_root=${_zdeferd_root:h}'  # a link to this file alone
ZERO="$_zdeferd_root/shell/zdeferd.plugin.zsh" 'builtin' 'source' "$_zdeferd_root/shell/zdeferd.plugin.zsh"
