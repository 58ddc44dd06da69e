#!/usr/bin/env bash
# Brings the `docker compose` plugin where it is missing and no download site is reachable: out of Debian's own package
# (trixie's, a static program that runs on Debian 12 too), into this user's plugin directory. Used by the tests.
set -euo pipefail

docker compose version >/dev/null 2>&1 && exit 0

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/turnpike-test/compose"
PLUGINS="${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins"
mkdir -p "$CACHE/lists/partial" "$CACHE/archives/partial" "$PLUGINS"

program() { find "$CACHE/root" -type f -perm -u+x -name docker-compose 2>/dev/null | head -n 1; }

if [ -z "$(program)" ]; then
  # The mirror that this machine installs from already.
  mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } | grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
  echo "deb [trusted=yes] ${mirror:?no Debian mirror is configured here} trixie main" >"$CACHE/sources.list"
  # Lists of its own, so that nothing of this machine's apt is touched.
  apt=(apt-get -qq -o "Dir::Etc::sourcelist=$CACHE/sources.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$CACHE/lists" -o "Dir::Cache=$CACHE" -o APT::Sandbox::User=root)
  "${apt[@]}" update
  (cd "$CACHE" && "${apt[@]}" download docker-compose)
  dpkg -x "$CACHE"/docker-compose_*.deb "$CACHE/root"
fi
ln -sf "$(program)" "$PLUGINS/docker-compose"
docker compose version >/dev/null
