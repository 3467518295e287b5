# Reads the parts of the feature layer, once a shell.

(( ! ${+_zdeferd_layer} )) || return 0
typeset -g _zdeferd_layer=1

# The plugin has these as stubs, which read the files at the first call.
if (( ! ${+_zdeferd_armed} )); then
  builtin source $_zdeferd_root/features/segments.zsh
  builtin source $_zdeferd_root/features/gate.zsh
fi
.zdeferd-timing .zdeferd-timed() { builtin source $_zdeferd_root/features/timings.zsh && $0 "$@" }
