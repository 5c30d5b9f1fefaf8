// Wire formats, as C11 for BPF programs and as C++20 for everything else: one definition for both.
// All multi-byte fields are in network byte order (type names say so: lb_be16, lb_be32). Every struct is
// packed, has its RFC beside it and its size asserted, and may be laid over unaligned packet bytes.
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define LB_ASSERT(cond) static_assert(cond)
#else
#define LB_ASSERT(cond) _Static_assert(cond, #cond)
#endif
#define LB_PACKED __attribute__((packed))

typedef __u16 lb_be16;
typedef __u32 lb_be32;

// Ether types and protocol numbers, host order (IEEE 802; IANA protocol numbers).
enum lb_ether_type {
  LB_ETH_IPV4 = 0x0800,
  LB_ETH_ARP = 0x0806,
  LB_ETH_VLAN = 0x8100,
  LB_ETH_IPV6 = 0x86dd,
  LB_ETH_QINQ = 0x88a8
};
enum lb_ip_proto {
  LB_PROTO_HOPOPTS = 0,
  LB_PROTO_ICMP = 1,
  LB_PROTO_IPIP = 4,
  LB_PROTO_TCP = 6,
  LB_PROTO_UDP = 17,
  LB_PROTO_IPV6 = 41,
  LB_PROTO_ROUTING = 43,
  LB_PROTO_FRAGMENT = 44,
  LB_PROTO_AH = 51,
  LB_PROTO_ICMPV6 = 58,
  LB_PROTO_NONE = 59,
  LB_PROTO_DSTOPTS = 60,
  LB_PROTO_MOBILITY = 135,
};

// IEEE 802.3
struct lb_eth {
  __u8 dst[6];
  __u8 src[6];
  lb_be16 type;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_eth) == 14);

// IEEE 802.1Q, the four bytes between the source address and the ether type: type here is the *next* ether type.
struct lb_vlan {
  lb_be16 tci;
  lb_be16 type;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_vlan) == 4);

// RFC 791 section 3.1
struct lb_ipv4 {
  __u8 version_ihl;  // high nibble 4, low nibble header length in 32-bit words
  __u8 tos;          // DSCP << 2 | ECN
  lb_be16 total_length;
  lb_be16 id;
  lb_be16 frag;  // LB_IPV4_DF, LB_IPV4_MF, offset in 8-byte units
  __u8 ttl;
  __u8 proto;
  lb_be16 csum;
  __u8 src[4];
  __u8 dst[4];
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_ipv4) == 20);
#define LB_IPV4_DF 0x4000u      // host order
#define LB_IPV4_MF 0x2000u      // host order
#define LB_IPV4_OFFSET 0x1fffu  // host order

// RFC 8200 section 3
struct lb_ipv6 {
  __u8 vtc_flow[4];  // version, traffic class, flow label
  lb_be16 payload_length;
  __u8 next;
  __u8 hop_limit;
  __u8 src[16];
  __u8 dst[16];
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_ipv6) == 40);

// RFC 8200 section 4.5
struct lb_ipv6_frag {
  __u8 next;
  __u8 reserved;
  lb_be16 offset_flags;  // offset in 8-byte units << 3 | M
  lb_be32 id;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_ipv6_frag) == 8);

// RFC 9293 section 3.1
struct lb_tcp {
  lb_be16 sport;
  lb_be16 dport;
  lb_be32 seq;
  lb_be32 ack;
  __u8 data_offset;  // high nibble: header length in 32-bit words
  __u8 flags;        // LB_TCP_*
  lb_be16 window;
  lb_be16 csum;
  lb_be16 urgent;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_tcp) == 20);
enum lb_tcp_flag { LB_TCP_FIN = 1, LB_TCP_SYN = 2, LB_TCP_RST = 4, LB_TCP_PSH = 8, LB_TCP_ACK = 16, LB_TCP_URG = 32 };

// RFC 768
struct lb_udp {
  lb_be16 sport;
  lb_be16 dport;
  lb_be16 length;
  lb_be16 csum;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_udp) == 8);

// RFC 792, RFC 4443: type, code, checksum and four bytes whose meaning depends on the type.
struct lb_icmp {
  __u8 type;
  __u8 code;
  lb_be16 csum;
  __u8 rest[4];
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_icmp) == 8);

// draft-ietf-intarea-gue section 3 (version 0): the first 32 bits.
struct lb_gue {
  __u8 ver_c_hlen;  // version (2 bits), control flag, header length in 32-bit words beyond these four bytes
  __u8 proto;       // inner protocol number when the control flag is 0
  lb_be16 flags;
} LB_PACKED;
LB_ASSERT(sizeof(struct lb_gue) == 4);
#define LB_GUE_PORT 6080  // IANA "gue"

static inline lb_be16 lb_htons(__u16 host) {
  return (lb_be16)__builtin_bswap16(host);
}
static inline __u16 lb_ntohs(lb_be16 wire) {
  return (__u16)__builtin_bswap16(wire);
}
static inline lb_be32 lb_htonl(__u32 host) {
  return (lb_be32)__builtin_bswap32(host);
}
static inline __u32 lb_ntohl(lb_be32 wire) {
  return (__u32)__builtin_bswap32(wire);
}
#define LB_IPV6_LEAST_MTU 1280u  // bytes that every link takes: RFC 8200 section 5

// A field that may lie anywhere, in host order.
static inline __u16 lb_load_be16(const __u8* p) {
  return (__u16)(p[0] << 8 | p[1]);
}
static inline __u32 lb_load_be32(const __u8* p) {
  return (__u32)lb_load_be16(p) << 16 | lb_load_be16(p + 2);
}
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "lbd is built for little-endian machines"
#endif
