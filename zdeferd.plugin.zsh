# For plugin managers, which clone the whole repository: the shim is in shell/.
'builtin' 'typeset' '-g' "_zdeferd_root=${ZERO:-${(%):-%x}}"
[[ ! -h $_zdeferd_root ]] || _zdeferd_root=${_zdeferd_root:A}  # a link to this file alone
[[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
_zdeferd_root=${_zdeferd_root:h}
ZERO="$_zdeferd_root/shell/zdeferd.plugin.zsh" 'builtin' 'source' "$_zdeferd_root/shell/zdeferd.plugin.zsh"
