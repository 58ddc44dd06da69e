#!/usr/bin/env bash
# Installs Turnpike as a service of systemd, out of the directory that this stands in; with apt and npm, as root, on Debian or Ubuntu.
#
#   systemd/install.sh install [domain]             coturn, this release, the unit; starts it. Again: changes nothing that is right
#   systemd/install.sh release                      brings this release beside the others; its directory is the last line printed
#   systemd/install.sh switch <release> [backup]    runs that one from now on; coturn goes on relaying. With a backup: its database
#   systemd/install.sh uninstall [--keep-data]      takes all of it away
#
# turnpike up, upgrade and uninstall call this; up is what people want.
set -euo pipefail
# In $(…) too: half a release must not be put into place.
shopt -s inherit_errexit
cd "$(dirname "$(readlink -f "$0")")/.."

OPT=/opt/turnpike
DATA=/var/lib/turnpike
SETTINGS=/etc/turnpike/turnpike.env
UNIT=/etc/systemd/system/turnpike.service
PROGRAM=/usr/local/bin/turnpike
BACKUPS=/var/backups/turnpike
FILES=(bin src sdk systemd package.json package-lock.json .npmrc LICENSE)

die() { echo "turnpike: $1" >&2; exit "${2:-70}"; }
apt() { DEBIAN_FRONTEND=noninteractive apt-get "$@" -y -qq --no-install-recommends >/dev/null; }

require() {
  [ "$(id -u)" = 0 ] || die 'this needs root' 77
  [ -d /run/systemd/system ] || die 'systemd does not run this machine' 69
  command -v apt-get >/dev/null || die 'there is no apt-get here: this is for Debian and Ubuntu' 69
}

bring_coturn() {
  command -v turnserver >/dev/null && return
  mkdir -p "$OPT"
  # Debian would start it as a service of its own, which would hold the relay's port.
  touch "$OPT/masked-coturn"
  systemctl mask --quiet coturn.service
  apt install coturn || { apt-get update -qq && apt install coturn; } || die 'apt-get could not install coturn' 69
  touch "$OPT/brought-coturn"
}

has_node() { command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 18 ]; }

bring_node() {
  has_node && return
  apt install nodejs npm || { apt-get update -qq && apt install nodejs npm; } || true
  has_node || die 'Node.js 18 or newer and npm are needed, and apt has none so new: https://nodejs.org' 69
}

# The same as those of the release that runs, where the lockfile is the same.
bring_packages() {
  if cmp -s package-lock.json "$OPT/current/package-lock.json"; then
    cp -al "$OPT/current/node_modules" "$1/node_modules"
  else
    (cd "$1" && npm ci --omit=dev --loglevel=error --no-audit --no-fund >&2) || die 'npm ci failed; its own words are above' 69
  fi
}

release_of_these_files() {
  local version digest
  version=$(node -p 'require("./package.json").version')
  digest=$(find "${FILES[@]}" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-8)
  echo "$OPT/releases/$version-$digest"
}

# Says where it is. One that is there whole is left as it is, and so is the one that runs.
bring_release() {
  local release
  release=$(release_of_these_files)
  if [ ! -e "$release/.whole" ] && [ "$release" != "$(readlink "$OPT/current")" ]; then
    rm -rf "$release" "$release.incoming"
    mkdir -p "$release.incoming"
    cp -r "${FILES[@]}" "$release.incoming/"
    bring_packages "$release.incoming"
    ln -s "$(cd "$release.incoming" && echo node_modules/node-linux-*/bin/node)" "$release.incoming/node"
    "$release.incoming/node" --version >/dev/null || die 'there is no Node.js 24 for this processor to bring' 69
    chown -R root:root "$release.incoming"
    chmod -R u=rwX,go=rX "$release.incoming"
    touch "$release.incoming/.whole"
    mv "$release.incoming" "$release"
  fi
  echo "$release"
}

bring_files() {
  id turnpike >/dev/null 2>&1 || useradd --system --user-group --no-create-home --home-dir "$DATA" --shell /usr/sbin/nologin turnpike
  install -d -m 0755 /etc/turnpike
  if [ ! -e "$SETTINGS" ]; then
    install -m 0600 /dev/null "$SETTINGS"
    echo '# Settings of the service; all there are: docs/configuration.md. Then: systemctl restart turnpike' >"$SETTINGS"
  fi
  cat >"$PROGRAM" <<'PROGRAM'
#!/bin/sh
# Turnpike's command line, with the settings of the service.
export NODE_ENV=production TURNPIKE_DATA_DIR=/var/lib/turnpike TURNPIKE_RELAY_DRIVER=process TURNPIKE_RELAY_ON_STOP=keep
# Read as systemd reads it, and never run: a value may hold anything.
read_settings() {
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line#"${line%%[![:space:]]*}"}
    line=${line%"${line##*[![:space:]]}"}
    name=${line%%=*}
    value=${line#*=}
    case $line in '#'* | ';'*) continue ;; *=*) ;; *) continue ;; esac
    case $name in '' | [0-9]* | *[!A-Za-z0-9_]*) continue ;; esac
    case $value in
      '"'*'"') value=${value#'"'} value=${value%'"'} ;;
      "'"*"'") value=${value#"'"} value=${value%"'"} ;;
    esac
    export "$name=$value"
  done
}
[ ! -r /etc/turnpike/turnpike.env ] || read_settings </etc/turnpike/turnpike.env
exec /opt/turnpike/current/node --disable-warning=ExperimentalWarning /opt/turnpike/current/src/main.ts "$@"
PROGRAM
  chmod 0755 "$PROGRAM"
}

set_domain() {
  grep -qx "TURNPIKE_DOMAIN=$1" "$SETTINGS" && return
  [[ $1 =~ ^[A-Za-z0-9.-]+$ ]] || die "$1 is no host name" 64
  sed -i '/^TURNPIKE_DOMAIN=/d' "$SETTINGS"
  echo "TURNPIKE_DOMAIN=$1" >>"$SETTINGS"
  # It is read at the start; calls go on.
  ! systemctl --quiet is-active turnpike || systemctl restart turnpike
}

link_to() {
  ln -sfn "$1" "$OPT/current.incoming"
  mv -T "$OPT/current.incoming" "$OPT/current"
}

use_unit_of() {
  cmp -s "$1/systemd/turnpike.service" "$UNIT" || install -m 0644 "$1/systemd/turnpike.service" "$UNIT"
  systemctl daemon-reload
}

install_all() {
  local release
  bring_coturn
  bring_node
  bring_files
  # Over plain HTTP keys would pass in the clear: it is for this machine. With a domain HTTPS is for the others.
  grep -q '^TURNPIKE_HTTP_HOST=' "$SETTINGS" || echo 'TURNPIKE_HTTP_HOST=127.0.0.1' >>"$SETTINGS"
  [ -z "${1:-}" ] || set_domain "$1"
  if [ ! -e "$OPT/current" ]; then
    release=$(bring_release)
    link_to "$release"
  elif [ "$(release_of_these_files)" != "$(readlink "$OPT/current")" ]; then
    echo 'turnpike: note: the files here are not of the version that runs; node bin/turnpike.mjs upgrade puts it in its place, with a backup to go back to' >&2
  fi
  use_unit_of "$OPT/current"
  systemctl enable --quiet --now turnpike
}

switch_to() {
  local restored=yes
  [ -x "$1/node" ] || die "there is no release in $1" 69
  systemctl stop turnpike
  use_unit_of "$1"
  link_to "$1"
  # It is started all the same: without it nothing would run.
  [ -z "${2:-}" ] || "$PROGRAM" restore "$2" >&2 || restored=no
  systemctl reset-failed turnpike 2>/dev/null || true
  systemctl start turnpike
  [ "$restored" = yes ] || die "the database could not be put back; it is in $2" 74
}

uninstall_all() {
  systemctl disable --quiet --now turnpike 2>/dev/null || true
  # What it left running: coturn.
  systemctl kill --signal=SIGKILL turnpike 2>/dev/null || true
  rm -f "$UNIT" "$PROGRAM"
  systemctl daemon-reload
  if [ -e "$OPT/brought-coturn" ]; then
    DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq coturn >/dev/null
  fi
  [ ! -e "$OPT/masked-coturn" ] || systemctl unmask --quiet coturn.service
  rm -rf "$OPT"
  if [ "${1:-}" != --keep-data ]; then
    rm -rf "$DATA" "$BACKUPS" /etc/turnpike "$UNIT.d"
    systemctl daemon-reload
    ! id turnpike >/dev/null 2>&1 || userdel turnpike
  fi
}

require
case "${1:-}" in
  install) install_all "${2:-}" ;;
  release) bring_node; bring_release ;;
  switch) switch_to "${2:?which release?}" "${3:-}" ;;
  uninstall) uninstall_all "${2:-}" ;;
  *) sed -n '2,9p' "$0" >&2; exit 64 ;;
esac
