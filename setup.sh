#!/bin/sh
# setup.sh lab|hub|dev: make .venv here and put the course, at pinned versions, into it; with hub, JupyterHub and its
# proxy, too, and with dev what the tests need. `make lab`, `make hub` and `make test` call it.
#
#   YES=1        install missing system packages without asking
#   PYTHON=...   the Python 3.11 to 3.13 to build on
#   CUDA=1       take a CUDA build of torch (several GB) where there is no NVIDIA GPU
#   TORCH_INDEX  another address for PyTorch's CPU builds, such as a site's mirror
#
# A second call finds its stamp and takes no time. Written for any POSIX shell, and for paths with spaces.
set -eu
cd "$(dirname "$0")"
PATH="$PATH:/usr/sbin:/sbin:/usr/local/sbin" # where Debian keeps slurmctld and munged
purpose=${1:-lab}
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
torch=$(sed -n 's/^torch==//p' constraints.txt)
proxy=5.3.0 # of npm's configurable-http-proxy

say() { printf 'hpclab: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Yes only from a person at a terminal.
ask() {
    [ -t 0 ] || return 1
    printf 'hpclab: %s [y/N] ' "$1" >&2
    read -r reply || return 1
    case $reply in [yY]*) return 0 ;; esac
    return 1
}

# Run a step silently; where it fails, show all it said.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then rm -f "$log"; return 0; fi
    cat "$log" >&2
    rm -f "$log"
    return 1
}

right_version() { "$1" -c 'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1; }
makes_venvs() {
    "$1" -c 'import ensurepip' >/dev/null 2>&1 || "$1" -m virtualenv --version >/dev/null 2>&1 ||
        "$1" -m pip --version >/dev/null 2>&1
}
find_python() {
    for python in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11; do
        right_version "$python" && makes_venvs "$python" && return 0
    done
    return 1
}
working_venv() { right_version .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1; }

# The Debian package that brings a fitting Python; the newest one first where python3 itself is too old.
python_package() {
    if ! have python3 || right_version python3; then echo python3-venv; return; fi
    for version in 3.13 3.12 3.11; do
        if apt-cache show "python$version-venv" >/dev/null 2>&1; then echo "python$version-venv"; return; fi
    done
    echo python3-venv
}

has_slurm() {
    { have sbatch && { [ -n "${SLURM_CONF:-}" ] || [ -e /etc/slurm/slurm.conf ]; }; } ||
        { have slurmctld && have slurmd && have munged; }
}
has_browser() {
    have chromium || have chromium-browser || have google-chrome ||
        ls "${PLAYWRIGHT_BROWSERS_PATH:-$HOME/.cache/ms-playwright}"/chromium-* >/dev/null 2>&1
}

is_ubuntu() { grep -qs '^ID=ubuntu' /etc/os-release; } # its chromium is a snap, which no container takes

missing_packages() {
    missing=
    working_venv || find_python || missing="$missing $(python_package)"
    if [ "$(uname -s)" = Linux ]; then
        has_slurm || missing="$missing slurm-wlm munge"
        [ "$purpose" != dev ] || has_browser || is_ubuntu || missing="$missing chromium fonts-dejavu-core"
        # what Playwright's own driver is linked against
        [ "$purpose" != dev ] || ldconfig -p 2>/dev/null | grep -q 'libatomic\.so\.1' || missing="$missing libatomic1"
    fi
    missing=${missing# }
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; elif [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
}
apt_install() {
    quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 update &&
        quietly as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get -qq -y -o DPkg::Lock::Timeout=120 --no-install-recommends install "$@"
}

system_packages() {
    missing_packages
    [ -n "$missing" ] || return 0
    declined=$(cat .venv/hpclab-declined 2>/dev/null || true)
    if ! have apt-get; then
        say "not on this machine: $missing (these are Debian's names; use your own package manager)."
    elif [ "$(id -u)" != 0 ] && ! have sudo; then
        say "not on this machine: $missing. An administrator can run: apt-get install $missing"
    elif [ "$declined" = "$missing" ] && [ "${YES:-}" != 1 ]; then
        say "still without: $missing (YES=1 installs them)."
    elif [ "${YES:-}" = 1 ] || ask "install these system packages with apt-get: $missing?"; then
        say "installing $missing"
        # shellcheck disable=SC2086  # a list of names
        apt_install $missing || say "apt-get did not install them; see above."
    else
        say "not installed: $missing. To install them: make $purpose_target YES=1, or apt-get install $missing"
        declined=$missing
    fi
    working_venv || find_python || fail "Python 3.11, 3.12 or 3.13 with venv is needed: install it (Debian:" \
        "apt-get install $(python_package); macOS: brew install python@3.12), or name one with PYTHON=/path/to/python3."
    [ "$(uname -s)" != Linux ] || has_slurm ||
        say "without Slurm the course runs on this machine's processes; lesson 04 shows its jobs where Slurm is installed."
}

make_venv() {
    working_venv && return 0
    find_python || fail "no Python to build on."
    say "making .venv with $("$python" --version)"
    if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        quietly "$python" -m venv --clear .venv
    elif "$python" -m virtualenv --version >/dev/null 2>&1; then
        quietly "$python" -m virtualenv --clear .venv
    else # Debian without python3-venv, but with a pip
        quietly "$python" -m venv --clear --without-pip .venv &&
            quietly "$python" -m pip --python .venv/bin/python install -c constraints.txt pip
    fi
}

pip() { .venv/bin/python -m pip --disable-pip-version-check --no-input "$@"; }

has_nvidia_gpu() {
    for smi in nvidia-smi /usr/lib/wsl/lib/nvidia-smi; do
        "$smi" -L 2>/dev/null | grep -q '^GPU ' && return 0
    done
    ls /proc/driver/nvidia/gpus/* >/dev/null 2>&1
}

# 0 where the torch that pip would take here comes without CUDA. Reads metadata, downloads no wheel from an index.
offers_cpu_build() {
    pip install -q --dry-run --no-deps --ignore-installed --report - "torch==$torch" | .venv/bin/python -c '
import json, re, sys
wheel = json.load(sys.stdin)["install"][0]["metadata"]
sys.exit(any(re.match("(nvidia|cuda|triton)", need) for need in wheel.get("requires_dist", [])))' 2>/dev/null
}

install_torch() {
    .venv/bin/python -c "
import importlib.metadata as m, sys
sys.exit(m.version('torch').split('+')[0] != '$torch')" 2>/dev/null && return 0
    if [ "$(uname -s)" != Linux ] || [ "$gpu" = yes ] || [ "${CUDA:-}" = 1 ]; then
        say "installing torch $torch"
        quietly pip install -q -c constraints.txt "torch==$torch"
        return
    fi
    limit=
    ! have timeout || limit="timeout 12"
    # pip's own settings are left out of the question, so that only this index can answer it
    if $limit env PIP_CONFIG_FILE=/dev/null .venv/bin/python -m pip --isolated index versions torch \
        --index-url "$index" --timeout 4 --retries 0 2>/dev/null | grep -qF "$torch"; then
        say "installing torch $torch (CPU build, about 190 MB)"
        quietly pip install -q --no-deps --index-url "$index" "torch==$torch" && return
    fi
    say "PyTorch's CPU index did not answer; asking pip's own index for torch $torch"
    offers_cpu_build || ask "no CPU build there, only CUDA (several GB), and no NVIDIA GPU here; take it?" ||
        fail "no CPU build of torch to be had: try again on line, name a mirror with TORCH_INDEX=..., or take CUDA with CUDA=1."
    quietly pip install -q -c constraints.txt "torch==$torch"
}

# JupyterHub's proxy, a program for node, beside the Python packages; node itself is one of those.
install_proxy() {
    have .venv/bin/configurable-http-proxy ||
        PATH="$PWD/.venv/bin:$PATH" quietly .venv/bin/npm install --global --prefix "$PWD/.venv" --no-audit --no-fund \
            --ignore-scripts "configurable-http-proxy@$proxy"
}

case $purpose in
lab) extras= purpose_target=lab ;;
hub) extras=hub purpose_target=hub ;;
dev) extras=dev purpose_target=test ;;
*) fail "setup.sh takes lab, hub or dev, not '$purpose'." ;;
esac

declined=
system_packages
gpu=no
! has_nvidia_gpu || { gpu=yes; extras="${extras:+$extras,}gpu"; }
stamp="$(cat constraints.txt pyproject.toml setup.sh | cksum) $gpu $PWD"
if working_venv && { [ "$(cat .venv/hpclab-dev 2>/dev/null)" = "$stamp" ] ||
    [ "$(cat ".venv/hpclab-$purpose" 2>/dev/null)" = "$stamp" ]; }; then
    [ -z "$declined" ] || printf '%s\n' "$declined" >.venv/hpclab-declined
    exit 0
fi
make_venv || fail "the virtual environment could not be made."
[ -z "$declined" ] || printf '%s\n' "$declined" >.venv/hpclab-declined
quietly pip install -q -c constraints.txt --upgrade pip || fail "pip could not be updated: is this machine on line?"
install_torch || fail "torch was not installed; see above."
say "installing the course and what it needs (some minutes the first time)"
quietly pip install -q -c constraints.txt -e ".${extras:+[$extras]}" || fail "the installation failed; see above."
if [ "$purpose" != lab ] && ! install_proxy; then
    [ "$purpose" = dev ] || fail "JupyterHub's proxy was not installed; see above."
    say "no configurable-http-proxy: the tests of the hub will be skipped."
fi
if [ "$purpose" = dev ] && ! has_browser; then
    if [ "${YES:-}" = 1 ] || ask "download Chromium for the browser tests (about 170 MB)?"; then
        quietly .venv/bin/python -m playwright install chromium || say "no Chromium: the browser tests will be skipped."
    fi
fi
printf '%s\n' "$stamp" >".venv/hpclab-$purpose"
say "installed into .venv"
