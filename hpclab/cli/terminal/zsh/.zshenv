# Read first by zsh in JupyterLab's terminals, which then reads the learner's own files; before the first prompt the
# course's programs come first.
if [[ -n $HPCLAB_ZDOTDIR ]]; then export ZDOTDIR=$HPCLAB_ZDOTDIR; else unset ZDOTDIR; fi
unset HPCLAB_ZDOTDIR
[[ -r ${ZDOTDIR:-$HOME}/.zshenv ]] && . ${ZDOTDIR:-$HOME}/.zshenv
_hpclab_programs() {
    export PATH="$HPCLAB_PROGRAMS:$PATH"
    precmd_functions=(${precmd_functions:#_hpclab_programs})
}
precmd_functions+=(_hpclab_programs)
