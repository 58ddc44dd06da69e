#!/bin/sh
# IPv6 too, where this machine has it: HAProxy does not start where an address cannot be listened on.
set -eu
[ -s /proc/net/if_inet6 ] && export EDGE_IPV6=1
exec "$@"
