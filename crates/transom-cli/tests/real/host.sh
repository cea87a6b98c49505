#!/usr/bin/env bash
# The first process of a host of its own: a private network, process table, /run and resolv.conf.
#
#   host (192.0.2.1, 2001:db8:1::1) ---- servers (192.0.2.2, 2001:db8:1::2; DNS 192.0.2.53)
#
# Behind the servers lie addresses that answer in every way that a network can:
#
#   198.51.100.66  2001:db8:2::66  nothing answers
#   198.51.100.10  2001:db8:2::10  a router says: host unreachable
#   198.51.100.11  2001:db8:2::11  a router says: prohibited
#   198.51.100.12  2001:db8:2::12  a router says: network unreachable
#   198.51.100.9   2001:db8:2::9   the host's own table says: unreachable
#   198.51.100.8   2001:db8:2::8   the host's own table says: prohibited
#   203.0.113.1    2001:db8:3::1   the host's own table knows no way
#   192.0.2.77     2001:db8:1::77  no such neighbour
#
# It ends when its standard input does, and everything here ends with it: processes by the end of
# the process table, interfaces and mounts by the end of their namespaces.
# usage: host.sh FOLDER [closed|open]   (may an ordinary user open /dev/net/tun?)
set -euo pipefail
folder=$1 tun=$2

mount -t tmpfs -o mode=755 run /run
servers() { ip netns exec servers "$@"; }
ip link set lo up
ip netns add servers
ip link add world address 02:00:00:00:00:01 type veth \
    peer name host address 02:00:00:00:00:02 netns servers
ip address add 192.0.2.1/24 dev world
ip address add 2001:db8:1::1/64 dev world nodad
ip link set world up
ip -n servers address add 192.0.2.2/24 dev host
ip -n servers address add 192.0.2.53/24 dev host
ip -n servers address add 2001:db8:1::2/64 dev host nodad
ip -n servers link set lo up
ip -n servers link set host up

# Whether a link that is only just up lets the first question for a neighbour through is a matter of
# luck, so nobody asks.
neighbour() { ip ${1:+-n "$1"} neighbour add "$2" lladdr "$3" dev "$4" nud permanent; }
neighbour "" 192.0.2.2 02:00:00:00:00:02 world
neighbour "" 192.0.2.53 02:00:00:00:00:02 world
neighbour "" 2001:db8:1::2 02:00:00:00:00:02 world
neighbour servers 192.0.2.1 02:00:00:00:00:01 host
neighbour servers 2001:db8:1::1 02:00:00:00:00:01 host

servers sh -c '
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
    echo 0 >/proc/sys/net/ipv4/icmp_ratelimit
    echo 0 >/proc/sys/net/ipv6/icmp/ratelimit
'
ip route add 198.51.100.0/24 via 192.0.2.2
ip -6 route add 2001:db8:2::/64 via 2001:db8:1::2
ip route add unreachable 198.51.100.9
ip -6 route add unreachable 2001:db8:2::9
ip route add prohibit 198.51.100.8
ip -6 route add prohibit 2001:db8:2::8
ip -n servers route add blackhole 198.51.100.66
ip -n servers -6 route add blackhole 2001:db8:2::66
# Linux tells one source of IPv4 packets only once a second that a route is closed (ip_error), after
# five times at once; so each of these has a source of its own.
for n in 10 11 12; do
    ip address add 192.0.2.1$n/24 dev world
    neighbour servers 192.0.2.1$n 02:00:00:00:00:01 host
    ip route add 198.51.100.$n via 192.0.2.2 src 192.0.2.1$n
done
ip -n servers route add unreachable 198.51.100.10
ip -n servers -6 route add unreachable 2001:db8:2::10
ip -n servers route add prohibit 198.51.100.11
ip -n servers -6 route add prohibit 2001:db8:2::11

# /etc/resolv.conf may be a link into the /run that is hidden here.
resolv=$(readlink -m /etc/resolv.conf)
mkdir -p "$(dirname "$resolv")"
[[ -e $resolv ]] || : >"$resolv"
printf 'nameserver 192.0.2.53\noptions timeout:2 attempts:2\n' >"$folder/resolv.conf"
chmod 644 "$folder/resolv.conf"
mount --bind "$folder/resolv.conf" "$resolv"

if [[ $(id -u) -eq 0 && -e /dev/net/tun ]]; then
    mkdir /run/device
    if mknod /run/device/tun c 10 200 2>/dev/null; then
        chmod "$([[ $tun == open ]] && echo 666 || echo 600)" /run/device/tun
        mount --bind /run/device/tun /dev/net/tun
    fi
fi

# As systemd sets it: everybody may ping.
echo "0 2147483647" >/proc/sys/net/ipv4/ping_group_range

echo ready
# The shell collects orphans meanwhile.
while read -r _; do :; done
