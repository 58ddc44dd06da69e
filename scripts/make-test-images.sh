#!/usr/bin/env bash
# Makes stand-ins, under their public names, for the base images that the tests need, out of Debian's packages:
# for machines that reach no image registry. As root, on Debian, with a Docker engine running.
#
#   scripts/make-test-images.sh coturn      coturn/coturn:4.18.0-r0 (coturn 4.18 from Debian forky)
#   scripts/make-test-images.sh debian      debian:bookworm-slim and debian:forky-slim (both are forky)
#   scripts/make-test-images.sh node        node:24-bookworm-slim (Node.js as npm brings it)
#   scripts/make-test-images.sh prometheus  the image that compose/compose.yaml names (Debian's Prometheus)
#   scripts/make-test-images.sh haproxy     the one that it names for the edge (Debian's HAProxy)
#   scripts/make-test-images.sh grafana     the one that it names for Grafana (says that it is healthy, and nothing else)
#   scripts/make-test-images.sh systemd     turnpike-test/systemd:bookworm (a machine with systemd, Node.js and npm)
#   scripts/make-test-images.sh root        what they are made of, beforehand; needs no engine
#
# An image that is there already, stand-in or real, is left as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/turnpike-test"
COTURN_IMAGE=coturn/coturn:4.18.0-r0
DEBIAN_IMAGES=(debian:bookworm-slim debian:forky-slim)
NODE_IMAGE=node:24-bookworm-slim
PROMETHEUS_IMAGE=$(grep -oE "prom/prometheus:[^ ]+" compose/compose.yaml | head -n 1 || true)
HAPROXY_IMAGE=$(grep -oE "haproxy:[0-9][^ ]+" compose/compose.yaml | head -n 1 || true)
GRAFANA_IMAGE=$(grep -oE "grafana/grafana:[^ ]+" compose/compose.yaml | head -n 1 || true)

has_image() { docker image inspect "$1" >/dev/null 2>&1; }

# The mirror that this machine installs from already.
mirror() {
  { cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
    grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' '
}

# One root file system for all of them: forky has coturn 4.18, and minbase is small.
make_root() {
  local root=$CACHE/root
  # Whoever comes second waits for the first.
  exec 9>"$CACHE/lock"
  flock 9
  [ -e "$root/.complete" ] && return
  rm -rf "$root"
  mkdir -p "$root"
  local script=/usr/share/debootstrap/scripts/forky
  [ -e "$script" ] || ln -s sid "$script"
  # Debian 12 does not know the keys that sign forky yet; this root file system never leaves the test machine.
  debootstrap --variant=minbase --no-check-gpg --include=coturn,haproxy,prometheus,tini,ca-certificates forky "$root" "$(mirror)" >"$CACHE/debootstrap.log" 2>&1 ||
    { tail -n 20 "$CACHE/debootstrap.log" >&2; echo 'debootstrap failed' >&2; exit 1; }
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  touch "$root/.complete"
}

import() {
  local image=$1 root=$2
  shift 2
  # A mirror may be older than what it says of itself allows.
  echo 'Acquire::Check-Valid-Until "false";' >"$root/etc/apt/apt.conf.d/99-test-machine"
  tar -C "$root" --exclude=./.complete -c . | docker import "$@" - "$image" >/dev/null
  echo "made $image"
}

make_debian() {
  local image
  for image in "${DEBIAN_IMAGES[@]}"; do
    has_image "$image" && continue
    if ! has_image turnpike-test/debian:forky; then
      make_root
      import turnpike-test/debian:forky "$CACHE/root" --change 'CMD ["bash"]'
    fi
    docker tag turnpike-test/debian:forky "$image"
  done
}

make_coturn() {
  has_image "$COTURN_IMAGE" && return
  make_root
  import "$COTURN_IMAGE" "$CACHE/root" --change 'USER nobody:nogroup' --change 'CMD ["turnserver"]'
}

make_prometheus() {
  has_image "$PROMETHEUS_IMAGE" && return
  make_root
  local root=$CACHE/prometheus-root
  rm -rf "$root"
  cp -a "$CACHE/root" "$root"
  # Where the official image has it.
  cp "$root/usr/bin/prometheus" "$root/bin/prometheus" 2>/dev/null || true
  mkdir -p "$root/prometheus" "$root/etc/prometheus"
  chown 65534:65534 "$root/prometheus"
  import "$PROMETHEUS_IMAGE" "$root" --change 'USER nobody' --change 'ENTRYPOINT ["/bin/prometheus"]'
  rm -rf "$root"
}

make_haproxy() {
  has_image "$HAPROXY_IMAGE" && return
  make_root
  local root=$CACHE/haproxy-root
  rm -rf "$root"
  cp -a "$CACHE/root" "$root"
  # A root that was made before it was asked for.
  [ -x "$root/usr/sbin/haproxy" ] || chroot "$root" sh -ec 'apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy' >"$CACHE/haproxy.log" 2>&1 ||
    { tail -n 20 "$CACHE/haproxy.log" >&2; echo 'haproxy could not be installed' >&2; exit 1; }
  # As the official image has it.
  import "$HAPROXY_IMAGE" "$root" --change 'USER 99:99' --change 'CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
  rm -rf "$root"
}

# Node.js as npm brings it, and npm.
bring_node() {
  local root=$1
  cp "node_modules/node-linux-$(node -p process.arch)/bin/node" "$root/usr/local/bin/node"
  rm -rf "$root/usr/local/lib/npm"
  cp -aL "$(npm root -g)/npm" "$root/usr/local/lib/npm"
  ln -sf ../lib/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  # What this machine needs to reach its npm registry belongs into the stand-in and nowhere else.
  cp "${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
  local registry
  registry=$(npm config get registry)
  mkdir -p "$root/usr/local/etc"
  printf 'registry=%s\ncafile=/etc/ssl/certs/ca-certificates.crt\n' "$registry" >"$root/root/.npmrc"
}

make_node() {
  has_image "$NODE_IMAGE" && return
  make_root
  local root=$CACHE/node-root
  rm -rf "$root"
  cp -a "$CACHE/root" "$root"
  bring_node "$root"
  import "$NODE_IMAGE" "$root" --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["node"]'
  rm -rf "$root"
}

# Debian has no Grafana. Where the official image has things, with its user.
make_grafana() {
  has_image "$GRAFANA_IMAGE" && return
  make_node
  local files
  files=$(mktemp -d)
  cat >"$files/run.sh" <<'END'
#!/bin/sh
exec node -e 'require("http").createServer((_, answer) => answer.end("{}")).listen(process.env.GF_SERVER_HTTP_PORT, process.env.GF_SERVER_HTTP_ADDR)'
END
  cat >"$files/wget" <<'END'
#!/bin/sh
for url; do :; done
exec node -e 'fetch(process.argv[1]).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))' "$url"
END
  chmod 755 "$files"/*
  cat >"$files/Dockerfile" <<END
FROM $NODE_IMAGE
COPY run.sh /
COPY wget /usr/local/bin/
RUN mkdir /var/lib/grafana && chown 472:0 /var/lib/grafana
USER 472
ENTRYPOINT ["/run.sh"]
END
  DOCKER_BUILDKIT=0 docker build --quiet --network none --tag "$GRAFANA_IMAGE" "$files" >/dev/null
  rm -r "$files"
  echo "made $GRAFANA_IMAGE"
}

# A Debian of its own: its systemd (252) runs on machines with either version of cgroups.
make_systemd() {
  has_image turnpike-test/systemd:bookworm && return
  local root=$CACHE/systemd-root
  exec 8>"$CACHE/lock-systemd"
  flock 8
  if [ ! -e "$root/.complete" ]; then
    rm -rf "$root"
    mkdir -p "$root"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates bookworm "$root" "$(mirror)" >"$CACHE/debootstrap-systemd.log" 2>&1 ||
      { tail -n 20 "$CACHE/debootstrap-systemd.log" >&2; echo 'debootstrap failed' >&2; exit 1; }
    touch "$root/.complete"
  fi
  bring_node "$root"
  import turnpike-test/systemd:bookworm "$root" --change 'CMD ["/sbin/init"]'
}

mkdir -p "$CACHE"
for what in "${@:-coturn}"; do
  case $what in
    root) make_root ;;
    coturn) make_coturn ;;
    debian) make_debian ;;
    node) make_node ;;
    prometheus) make_prometheus ;;
    haproxy) make_haproxy ;;
    grafana) make_grafana ;;
    systemd) make_systemd ;;
    *) echo "unknown image: $what" >&2; exit 64 ;;
  esac
done
