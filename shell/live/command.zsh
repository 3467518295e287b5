[[ -o posix_argzero ]] || 0="${ZSH_ARGZERO-zsh}"
"${_zdeferd_words[@]}" 0>"$_zdeferd_tty" 1>>"$_zdeferd_out" 2>>"$_zdeferd_err" || _zdeferd_rc="$?"
