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
  # Debian would start it as a service of its own, which would hold the relay's port.
  systemctl mask --quiet coturn.service
  mkdir -p "$OPT"
  apt install coturn || { apt-get update -qq && apt install coturn; } || die 'apt-get could not install coturn' 69
  touch "$OPT/brought-coturn"
}

has_node() { command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)" -ge 20 ]; }

bring_node() {
  has_node && return
  apt install nodejs npm || { apt-get update -qq && apt install nodejs npm; } || true
  has_node || die 'Node.js 20 or newer and npm are needed, and apt has none so new: https://nodejs.org' 69
}

# The same as those of the release that runs, where the lockfile is the same.
bring_packages() {
  if cmp -s package-lock.json "$OPT/current/package-lock.json"; then
    cp -al "$OPT/current/node_modules" "$1/node_modules"
  else
    (cd "$1" && npm ci --omit=dev --loglevel=error --no-audit --no-fund >&2) || die 'npm ci failed; its own words are above' 69
  fi
}

# Says where it is. One that is there is left as it is.
bring_release() {
  local version digest release
  version=$(node -p 'require("./package.json").version')
  digest=$(find "${FILES[@]}" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-8)
  release=$OPT/releases/$version-$digest
  if [ ! -d "$release" ]; then
    rm -rf "$release.incoming"
    mkdir -p "$release.incoming"
    cp -r "${FILES[@]}" "$release.incoming/"
    bring_packages "$release.incoming"
    ln -s "$(cd "$release.incoming" && echo node_modules/node-linux-*/bin/node)" "$release.incoming/node"
    "$release.incoming/node" --version >/dev/null || die 'there is no Node.js 24 for this processor to bring' 69
    chown -R root:root "$release.incoming"
    chmod -R u=rwX,go=rX "$release.incoming"
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
set -a
TURNPIKE_DATA_DIR=/var/lib/turnpike
[ ! -r /etc/turnpike/turnpike.env ] || . /etc/turnpike/turnpike.env
set +a
exec /opt/turnpike/current/node --disable-warning=ExperimentalWarning /opt/turnpike/current/src/main.ts "$@"
PROGRAM
  chmod 0755 "$PROGRAM"
}

set_domain() {
  grep -qx "TURNPIKE_DOMAIN=$1" "$SETTINGS" && return
  sed -i '/^TURNPIKE_DOMAIN=/d; /^TURNPIKE_HTTP_HOST=127.0.0.1$/d' "$SETTINGS"
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
  if [ -n "${1:-}" ]; then set_domain "$1"
  elif ! grep -qE '^TURNPIKE_(DOMAIN|HTTP_HOST)=' "$SETTINGS"; then
    # Without a certificate keys would pass in the clear.
    echo 'TURNPIKE_HTTP_HOST=127.0.0.1' >>"$SETTINGS"
  fi
  if [ ! -e "$OPT/current" ]; then
    release=$(bring_release)
    link_to "$release"
  fi
  use_unit_of "$OPT/current"
  systemctl enable --quiet --now turnpike
}

switch_to() {
  [ -x "$1/node" ] || die "there is no release in $1" 69
  systemctl stop turnpike
  use_unit_of "$1"
  link_to "$1"
  [ -z "${2:-}" ] || "$PROGRAM" restore "$2" >&2
  systemctl reset-failed turnpike 2>/dev/null || true
  systemctl start turnpike
}

uninstall_all() {
  systemctl disable --quiet --now turnpike 2>/dev/null || true
  # What it left running: coturn.
  systemctl kill --kill-whom=all --signal=SIGKILL turnpike 2>/dev/null || true
  rm -f "$UNIT" "$PROGRAM"
  systemctl daemon-reload
  if [ -e "$OPT/brought-coturn" ]; then
    DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq coturn >/dev/null
    systemctl unmask --quiet coturn.service
  fi
  rm -rf "$OPT"
  if [ "${1:-}" != --keep-data ]; then
    rm -rf "$DATA" "$BACKUPS" /etc/turnpike
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
