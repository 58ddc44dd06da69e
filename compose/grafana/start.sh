#!/bin/sh
# Makes the password of Grafana's user admin at the first start, for Grafana alone to read.
set -eu
file="${1:?}/admin-password"
shift
if [ ! -s "$file" ]; then
  umask 077
  printf %s "$(head -c 18 /dev/urandom | base64)" >"$file.new"
  mv "$file.new" "$file"
fi
exec "$@"
