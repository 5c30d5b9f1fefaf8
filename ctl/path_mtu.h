// The path MTUs that routers on the way to backends report: what a report says, whether it is believed, how long it
// counts. Sockets and the event loop are path_mtu_source.h's. docs/packet-path.md, "Path MTU".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>

#include "dataplane/model/snapshot.h"
#include "dataplane/net/address.h"
#include "dataplane/net/headers.h"

namespace lb::ctl {

// Fragmentation needed (RFC 792, RFC 1191) or packet too big (RFC 4443) about a tunnel packet.
struct MtuReport {
  net::Address from;             // who says so
  net::Address source, backend;  // of the outer header that is quoted
  uint32_t mtu = 0;              // bytes of an IP packet; 0: an old router, which does not say (RFC 1191 section 5)
  uint32_t length = 0;           // of the quoted packet
  std::optional<net::Address> inner_destination;  // when that much is quoted
};

// packet: as a raw ICMP socket gives it, IP header first. RETURNS: none: it is something else.
std::optional<MtuReport> read_report4(std::span<const uint8_t> packet);
// message: from the ICMPv6 header on, its checksum verified by the kernel.
std::optional<MtuReport> read_report6(const net::Address& from, std::span<const uint8_t> message);

struct PathMtu {
  uint16_t mtu = 0;     // bytes of an IP packet, outer header included
  net::Address from;    // who reported it
  int64_t since = 0;    // seconds since 1970-01-01 UTC: the last report that said so
  int64_t expires = 0;  // RFC 1191 section 6.3, RFC 8201 section 4
};

// By backend address; as many as there are backends at most.
class PathMtus {
 public:
  static constexpr int64_t kLifeS = 600;
  static constexpr uint32_t kLeast4 = 576, kLeast6 = LB_IPV6_LEAST_MTU;
  enum class Learnt { kIgnored, kAgain, kChanged };

  // A report is believed when it quotes a packet that we may have sent: from our outer source to that backend, to a
  // listener's address in it, as far as it is quoted. It never raises what is known.
  Learnt learn(const MtuReport& report, const model::Topology& topology, const model::Snapshot& snapshot, int64_t now);
  bool expire(int64_t now);  // RETURNS: whether something was forgotten
  void keep_only(const std::set<net::Address>& backends);
  void apply(model::Topology& topology) const;
  const PathMtu* find(const net::Address& backend) const;
  bool empty() const { return known_.empty(); }

 private:
  std::map<net::Address, PathMtu> known_;
};

}  // namespace lb::ctl
