#!/bin/sh
# IPv6 too, where this machine has it: HAProxy does not start where an address cannot be listened on.
# An address that was chosen is the only one. (Whether there is something in a file of /proc is seen by reading it: its size is 0.)
set -eu
if [ "${EDGE_ADDRESS:-0.0.0.0}" = 0.0.0.0 ] && [ -n "$(cat /proc/net/if_inet6 2>/dev/null)" ]; then
  export EDGE_IPV6=1
fi
exec "$@"
