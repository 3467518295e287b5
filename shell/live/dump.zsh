# dump.zsh CACHE MODE VERSION FOLDER...: prints what `compinit` finds in these folders, as a file that
# `compinit -C -d` loads. Run as a job by the same zsh with -f; its output is the dump.
#
# MODE: `secure` leaves out what compaudit objects to (compinit -i), `all` takes it (-u), `unchecked`
# does not look (-C). The dump begins with the folders left out, one comment each: `# insecure: PATH`.
#
# It returns 1 at once where it is not for the shell that loads it; its last line says that it has been
# read to the end. Older dumps in CACHE go: nine stay beside this one, those that were read last.

emulate -R zsh
setopt extended_glob
cache=$1 mode=$2 version=$3 fpath=("${@[4,-1]}")
if [[ $version != $ZSH_VERSION ]]; then
  print -ru2 -- "zdefer: compinit: this zsh is of another version: $ZSH_VERSION, not $version"
  exit 1
fi
given=("${(@)fpath}")
zmodload zsh/files  # mkdir, mv (of compdump) and rm are not always on the PATH
name=zdeferd-compinit.$$.$RANDOM
work=${TMPDIR:-/tmp}/$name
# The TMPDIR of the shell that asked may be gone with it (nix-shell, a session's own folder).
mkdir -m 700 -- $work 2>/dev/null || { work=/tmp/$name; mkdir -m 700 -- $work || exit }
trap 'rm -rf -- $work' EXIT
autoload -Uz compinit compaudit
left_out=()
if [[ $mode == secure ]]; then  # compaudit lists the folders above them too
  left_out=(${(f)"$(compaudit 2>/dev/null)"})
  left_out=(${left_out:*fpath} ${(M)left_out:#*/_*})
fi
case $mode in
  (secure) compinit -i -d $work/dump ;;
  (all) compinit -u -d $work/dump ;;
  (unchecked) compinit -C -d $work/dump ;;
esac
if [[ ! -s $work/dump ]]; then
  print -ru2 -- "zdefer: compinit: it has made no dump of: $given"
  exit 1
fi
{ lines=("${(@f)$(<$work/dump)}") }  # bare, `zsh -n` would read a file
keys= bindings=
for one in ${(M)lines:#bindkey \'*}; do
  key=${(qq)${one#bindkey \'}%\' *}
  keys+=" $key" bindings+=" $key ${one##* }"
done

print -r -- "# Made by zdeferd from the folders of fpath below; the next change of one makes it anew."
for one in ${left_out:#*$'\n'*}; do
  print -r -- "# insecure: $one"
  print -ru2 -- "zdefer: compinit: insecure: $one; left out, as by compinit -i"
done
made_for=(1 $version $mode $given)
print -r -- "[[ \$_zdeferd_dumped_for == ${(qq)${(F)made_for}} ]] || return 1"
# Earlier calls of compdef count, as where compinit looks for itself.
maps=(_comps _services _patcomps _postpatcomps)
for one in $maps; do print -r -- "(( ! \$#$one )) || typeset -A _zdeferd$one=(\"\${(@kv)$one}\")"; done
print -rl -- "${(@)lines:#bindkey \'*}"
for one in $maps; do print -r -- "(( ! \$+_zdeferd$one )) || $one+=(\"\${(@kv)_zdeferd$one}\")"; done
(( ! $+_comp_secure )) || print -r -- "typeset -g _comp_secure=$_comp_secure"
[[ "$fpath" == "$given" ]] || print -r -- "fpath=(${(j: :)${(@qq)fpath}})"
# A key that is bound stays, as where compinit looks for itself. bindkey only prints: into the file of
# a here-string, which has no name any more. It is not cut first, which some file systems take 5 ms for.
if [[ -n $keys ]]; then
  print -r -- 'typeset _zdeferd_key _zdeferd_widget _zdeferd_text
typeset -a _zdeferd_bound
{
  for _zdeferd_key in'$keys'; do builtin bindkey $_zdeferd_key; done >>/dev/fd/3
  _zdeferd_text="$(</dev/fd/3)"
} 2>/dev/null 3<<<""
_zdeferd_bound=(${${(f)${_zdeferd_text:-$(builtin bindkey)}}:#* undefined-key})
for _zdeferd_key _zdeferd_widget in'$bindings'; do
  (( $#_zdeferd_bound )) && [[ -n ${(M)_zdeferd_bound:#\"$_zdeferd_key\" *} ]] ||
    bindkey $_zdeferd_key $_zdeferd_widget
done'
fi
print -r -- _zdeferd_dumped=1

dumps=($cache/compinit-*.zsh.zwc(Noa))
for one in ${dumps[10,-1]}; do
  rm -f -- ${one%.zwc} $one
done
exit 0
