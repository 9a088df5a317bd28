# Read by bash, dash and ksh in JupyterLab's terminals: what a login shell reads, and then the course's programs first.
unset ENV
[ -r /etc/profile ] && . /etc/profile
if [ -n "$BASH_VERSION" ]; then
    for file in ~/.bash_profile ~/.bash_login ~/.profile; do
        if [ -r "$file" ]; then . "$file"; break; fi
    done
else
    [ -r ~/.profile ] && . ~/.profile
fi
unset file
PATH="$HPCLAB_PROGRAMS:$PATH"
export PATH
