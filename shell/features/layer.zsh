# Reads the parts of the feature layer, once a shell.

(( ! ${+_zdeferd_layer} )) || return 0
typeset -g _zdeferd_layer=1

.zdeferd-timing .zdeferd-timed() { builtin source $_zdeferd_root/features/timings.zsh && $0 "$@" }
