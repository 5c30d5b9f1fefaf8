# The lab in one table: hosts, links, addresses, names. Everything else reads it from here.
# shellcheck shell=bash disable=SC2034,SC2153
#
#   c1 --\                wan 203.0.113.0/24                  lan 10.1.0.0/24
#         r ------------------------------- lbd ------------- sw -- b1 b2 b3 b4
#   c2 --/ \___________________________________________________/
#          the answers: backends reply to the clients by way of r, not of lbd
#
# Ranges for documentation (RFC 5737, RFC 3849) for all that is public, RFC 1918 behind it.

LAB_NAME=${LBD_LAB:-}
LAB_PREFIX="lbd-${LAB_NAME:+$LAB_NAME-}"
LAB_DIR="/run/lbd-lab${LAB_NAME:+-$LAB_NAME}"
LAB_CONFIG="$LAB_DIR/lbd.yaml"
LAB_SOCKET="$LAB_DIR/lbd.sock"

LAB_CLIENTS=(c1 c2)
LAB_BACKENDS=(b1 b2 b3 b4)
LAB_NODES=(lbd) # with --fleet lbd2 too, see lab_fleet
LAB_HOSTS=("${LAB_CLIENTS[@]}" r lbd sw "${LAB_BACKENDS[@]}")
# Of lbd's links, at the far end: host and interface. What native XDP sends by a veth arrives only where there is a program, too.
LAB_PEERS=(r@wan sw@lbd)
declare -A LAB_WEIGHT=([b1]=100 [b2]=100 [b3]=50 [b4]=50)

# host/interface -> addresses.
declare -A LAB_ADDR=(
  [c1/eth0]='198.51.100.10/26 2001:db8:c1::10/64'
  [c2/eth0]='198.51.100.74/26 2001:db8:c2::10/64'
  [r/c1]='198.51.100.1/26 2001:db8:c1::1/64'
  [r/c2]='198.51.100.65/26 2001:db8:c2::1/64'
  [r/wan]='203.0.113.1/24 2001:db8:a::1/64'
  [r/lan]='10.1.0.1/24 2001:db8:b::1/64'
  [lbd/wan]='203.0.113.2/24 2001:db8:a::2/64'
  [lbd/lan]='10.1.0.2/24 2001:db8:b::2/64'
  [b1/eth0]='10.1.0.11/24 2001:db8:b::11/64'
  [b2/eth0]='10.1.0.12/24 2001:db8:b::12/64'
  [b3/eth0]='10.1.0.13/24 2001:db8:b::13/64'
  [b4/eth0]='10.1.0.14/24 2001:db8:b::14/64'
)
# Where the rest of the world is: host -> gateways.
declare -A LAB_GATEWAY=(
  [c1]='198.51.100.1 2001:db8:c1::1' [c2]='198.51.100.65 2001:db8:c2::1' [lbd]='203.0.113.1 2001:db8:a::1'
  [b1]='10.1.0.1 2001:db8:b::1' [b2]='10.1.0.1 2001:db8:b::1' [b3]='10.1.0.1 2001:db8:b::1' [b4]='10.1.0.1 2001:db8:b::1'
)
# Virtual addresses: routed by r to lbd, on lo of the backends, on no interface of lbd.
LAB_VIP_PREFIXES=(192.0.2.0/24 2001:db8:0:1::/64)
LAB_VIPS=(192.0.2.10 192.0.2.20 192.0.2.21 2001:db8:0:1::10 2001:db8:0:1::20 2001:db8:0:1::21)

# A@IFACE B@IFACE MTU QUEUES. The links towards backends have room for an outer header;
# lbd's have two queues at both ends, one per worker. The clients' have one: with two, r would send every flow to
# the first queue of wan, for the kernel takes the sender's queue number n (> 0) as "received on n-1", and n = 0 as
# "by hash", with the very hash whose top bit gave 0 (net/core/dev.c, skb_tx_hash).
LAB_LINKS=(
  'c1@eth0 r@c1 1500 1'
  'c2@eth0 r@c2 1500 1'
  'r@wan lbd@wan 1500 2'
  'lbd@lan sw@lbd 1600 2'
  'r@lan sw@r 1600 1'
  'b1@eth0 sw@b1 1600 1'
  'b2@eth0 sw@b2 1600 1'
  'b3@eth0 sw@b3 1600 1'
  'b4@eth0 sw@b4 1600 1'
)

# A second node: r spreads flows over both, by their addresses and ports.
lab_fleet() {
  LAB_NODES+=(lbd2)
  LAB_HOSTS+=(lbd2)
  LAB_PEERS+=(r@wan2 sw@lbd2)
  LAB_LINKS+=('r@wan2 lbd2@wan 1500 2' 'lbd2@lan sw@lbd2 1600 2')
  LAB_ADDR+=([r/wan2]='10.2.0.1/24 2001:db8:d::1/64' [lbd2/wan]='10.2.0.2/24 2001:db8:d::2/64' [lbd2/lan]='10.1.0.3/24 2001:db8:b::3/64')
  LAB_GATEWAY+=([lbd2]='10.2.0.1 2001:db8:d::1')
}
# The folder of a node's lbd: configuration, socket, log, state.
node_dir() { if [[ $1 == lbd ]]; then printf '%s' "$LAB_DIR"; else printf '%s/%s' "$LAB_DIR" "$1"; fi; }

lab_ns() { printf '%s%s' "$LAB_PREFIX" "$1"; }
# in_host HOST COMMAND...: runs the command in the namespace of the host.
in_host() {
  local host=$1
  shift
  ip netns exec "$(lab_ns "$host")" "$@"
}
lab_exists() { [[ -e /run/netns/$(lab_ns "$1") ]]; }
# lab_address HOST/IFACE 4|6: its address without the prefix length.
lab_address() {
  local both
  read -ra both <<<"${LAB_ADDR[$1]}"
  if [[ $2 == 4 ]]; then printf '%s' "${both[0]%/*}"; else printf '%s' "${both[1]%/*}"; fi
}
