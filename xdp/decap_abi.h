// What the decapsulation program (decap.bpf.c) and its loader (decap_program.cc) share: C11 and C++20. Addresses are
// 16 bytes, network order, IPv4 mapped (::ffff:a.b.c.d), as in dataplane/net/abi.h.
#pragma once

#include "dataplane/net/abi.h"

// Names in the kernel; by the first two `lbctl decap` knows its own programs again. At most 15 bytes.
#define LB_DECAP_PROGRAM "lbd_decap"
#define LB_DECAP_MSS_PROGRAM "lbd_decap_mss"
#define LB_DECAP_MAP_FROM "lbd_dcp_from"
#define LB_DECAP_MAP_TO "lbd_dcp_to"
#define LB_DECAP_MAP_VIPS "lbd_dcp_vips"
#define LB_DECAP_MAP_SETTINGS "lbd_dcp_setting"
#define LB_DECAP_MAP_COUNTERS "lbd_dcp_count"

#define LB_DECAP_MAX_FROM 1024u
#define LB_DECAP_MAX_TO 256u
#define LB_DECAP_MAX_VIPS 4096u

// Key of the map of allowed outer sources (BPF_MAP_TYPE_LPM_TRIE). The family comes first, so that ::/0 is no prefix of
// an IPv4 address; IPv4 prefixes are 96 bits longer, being mapped.
struct lb_decap_prefix {
  __u32 bits;    // that count, family included
  __u32 family;  // 4 or 6
  struct lb_addr addr;
};
#define LB_DECAP_FAMILY_BITS 32u
LB_ASSERT(sizeof(struct lb_decap_prefix) == 24);

struct lb_decap_settings {
  __u16 mss;  // largest MSS that a VIP may announce; 0: leave it alone
  __u16 pad[3];
};
LB_ASSERT(sizeof(struct lb_decap_settings) == 8);

//   X(Enumerator, name in JSON and CLI, help)
#define LB_DECAP_DROP_COUNTERS(X)                                                                                   \
  X(SourceNotAllowed, "source_not_allowed", "tunnel packets to us from a source outside every --from prefix")       \
  X(InnerNotVip, "inner_not_vip", "tunnel packets whose inner destination is none of the --vip addresses")          \
  X(OuterFragment, "outer_fragment", "fragments of tunnel packets; the path to this server is too narrow")          \
  X(OuterMalformed, "outer_malformed", "outer header cut short, or its lengths contradict the frame")               \
  X(OuterChecksum, "outer_checksum", "outer IPv4 header checksum is wrong")                                         \
  X(GueUnsupported, "gue_unsupported", "GUE with control flag, optional fields or a payload that is not IP")        \
  X(InnerMalformed, "inner_malformed", "inner IP header cut short, of the wrong version, or longer than the frame") \
  X(EcnNotCapable, "ecn_not_capable", "outer CE on an inner packet that is not ECN-capable (RFC 6040 section 4.2)") \
  X(Aggregated, "aggregated", "several tunnel packets merged into one by UDP GRO; turn rx-udp-gro-forwarding off")  \
  X(KernelRefused, "kernel_refused", "the kernel could not remove the outer header")

#define LB_DECAP_COUNTERS(X)                                                                     \
  X(Ipip, "decapsulated_ipip", "packets taken out of IP in IP")                                  \
  X(Gue, "decapsulated_gue", "packets taken out of GUE")                                         \
  X(Bytes, "decapsulated_bytes", "bytes of the inner IP packets")                                \
  X(EcnCe, "ecn_marked_ce", "of these, packets that got CE from the outer header (RFC 6040)")    \
  X(EcnEct1, "ecn_marked_ect1", "of these, packets that got ECT(1) from the outer header")       \
  X(NotForUs, "passed_not_for_us", "tunnel packets to an outer address outside --to, untouched") \
  X(MssClamped, "mss_clamped", "SYN-ACKs of a VIP whose MSS was lowered")                        \
  LB_DECAP_DROP_COUNTERS(X)

enum lb_decap_counter {
#define X(id, name, help) LB_DECAP_##id,
  LB_DECAP_COUNTERS(X)
#undef X
      LB_DECAP_COUNT_MAX
};
#define LB_DECAP_DROP_FIRST LB_DECAP_SourceNotAllowed
