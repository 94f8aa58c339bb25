#!/bin/sh
# Installs the named Debian packages where this user may; says what to type where not.
set -u
if [ "$(id -u)" = 0 ]; then
    as_root=""
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root="sudo"
else
    echo "please install: $*   (apt-get install $*)" >&2
    exit 1
fi
echo "installing $*"
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "$@" >/dev/null
