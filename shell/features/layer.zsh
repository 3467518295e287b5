# Reads the parts of the feature layer, once a shell.

(( ! ${+_zdeferd_layer} )) || return 0
typeset -g _zdeferd_layer=1

.zdeferd-timed() { builtin source $_zdeferd_root/features/timings.zsh && $0 "$@" }
feature_registry_init feature_registry_add zf::feature::enabled .zdeferd-feature-ask .zdeferd-feature-due() {
  builtin source $_zdeferd_root/features/registry.zsh && $0 "$@"
}
zf::deps::export() { builtin source $_zdeferd_root/features/deps.zsh && zf::deps::export "$@" }
