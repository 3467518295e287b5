# For plugin managers, which clone the whole repository: the shim is in shell/.
'builtin' 'typeset' '-g' "_zdeferd_root=${${ZERO:-${${0:#$ZSH_ARGZERO}:-${(%):-%N}}}:h}"
[[ $_zdeferd_root == /* ]] || _zdeferd_root=$PWD/$_zdeferd_root
ZERO="$_zdeferd_root/shell/zdeferd.plugin.zsh" 'builtin' 'source' "$_zdeferd_root/shell/zdeferd.plugin.zsh"
