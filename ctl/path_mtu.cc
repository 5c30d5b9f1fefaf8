#include "ctl/path_mtu.h"

#include <algorithm>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/headers.h"

namespace lb::ctl {
namespace {

using Bytes = std::span<const uint8_t>;

constexpr uint8_t kUnreachable = 3, kFragmentationNeeded = 4, kPacketTooBig = 2;
constexpr uint32_t kNonsense4 = 68 + sizeof(lb_ipv4);  // RFC 791: no link has less than 68, and a tunnel needs a header

bool sums_up(Bytes message) {
  return lb_csum_fold(lb_csum_bytes(message.data(), static_cast<uint32_t>(message.size()))) == 0xffff;
}

// quote: of the inner packet. False: what is there of it is none of that protocol.
bool read_inner(uint8_t proto, Bytes quote, MtuReport& report) {
  const bool ipv4 = proto == LB_PROTO_IPIP;
  if (!ipv4 && proto != LB_PROTO_IPV6) return false;
  if (!quote.empty() && quote[0] >> 4 != (ipv4 ? 4 : 6)) return false;
  if (ipv4 && quote.size() >= sizeof(lb_ipv4))
    report.inner_destination = net::Address::from_ipv4(quote.data() + offsetof(lb_ipv4, dst));
  if (!ipv4 && quote.size() >= sizeof(lb_ipv6))
    report.inner_destination = net::Address::from_ipv6(quote.data() + offsetof(lb_ipv6, dst));
  return true;
}

// The largest plateau below a size: RFC 1191 section 7.1.
uint32_t plateau_below(uint32_t size) {
  for (const uint32_t plateau : {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508})
    if (plateau < size) return plateau;
  return 68;
}

// What the report means for us; 0: nothing.
uint32_t mtu_of(const MtuReport& report) {
  if (!report.backend.is_ipv4()) return report.mtu < PathMtus::kLeast6 ? 0 : report.mtu;  // RFC 8201 section 4
  const uint32_t said = report.mtu != 0 ? report.mtu : plateau_below(report.length);
  return said < kNonsense4 ? 0 : std::max(said, PathMtus::kLeast4);
}

bool is_listener(const model::Snapshot& s, const net::Address& address) {
  if (s.addresses.empty()) return false;
  const lb_addr raw = address.raw();
  for (uint32_t probe = 0; probe < LB_MAX_PROBE; probe++) {
    const lb_address_slot& slot = s.addresses[(lb_address_hash(&raw) + probe) & (s.addresses.size() - 1)];
    if (slot.flags == 0) return false;
    if (std::memcmp(&slot.addr, &raw, sizeof raw) == 0) return true;
  }
  return false;
}

}  // namespace

std::optional<MtuReport> read_report4(Bytes packet) {
  if (packet.size() < sizeof(lb_ipv4) || packet[0] >> 4 != 4) return {};
  const size_t header = (packet[0] & 15u) * size_t{4};
  if (header < sizeof(lb_ipv4) || packet.size() < header + sizeof(lb_icmp) + sizeof(lb_ipv4)) return {};
  const Bytes message = packet.subspan(header), quote = message.subspan(sizeof(lb_icmp));
  if (message[0] != kUnreachable || message[1] != kFragmentationNeeded || !sums_up(message)) return {};
  // Ours have no options, are no fragments and may not be fragmented.
  if (quote[0] != 0x45 || (lb_load_be16(&quote[6]) & (LB_IPV4_MF | LB_IPV4_OFFSET)) != 0) return {};
  MtuReport report{.from = net::Address::from_ipv4(&packet[offsetof(lb_ipv4, src)]),
                   .source = net::Address::from_ipv4(&quote[offsetof(lb_ipv4, src)]),
                   .backend = net::Address::from_ipv4(&quote[offsetof(lb_ipv4, dst)]),
                   .mtu = lb_load_be16(&message[6]),
                   .length = lb_load_be16(&quote[2]),
                   .inner_destination = {}};
  if (!read_inner(quote[offsetof(lb_ipv4, proto)], quote.subspan(sizeof(lb_ipv4)), report)) return {};
  return report;
}

std::optional<MtuReport> read_report6(const net::Address& from, Bytes message) {
  if (message.size() < sizeof(lb_icmp) + sizeof(lb_ipv6) || message[0] != kPacketTooBig) return {};
  const Bytes quote = message.subspan(sizeof(lb_icmp));
  if (quote[0] >> 4 != 6) return {};
  MtuReport report{.from = from,
                   .source = net::Address::from_ipv6(&quote[offsetof(lb_ipv6, src)]),
                   .backend = net::Address::from_ipv6(&quote[offsetof(lb_ipv6, dst)]),
                   .mtu = lb_load_be32(&message[4]),
                   .length = lb_load_be16(&quote[4]) + static_cast<uint32_t>(sizeof(lb_ipv6)),
                   .inner_destination = {}};
  if (!read_inner(quote[offsetof(lb_ipv6, next)], quote.subspan(sizeof(lb_ipv6)), report)) return {};
  return report;
}

PathMtus::Learnt PathMtus::learn(const MtuReport& report, const model::Topology& topology,
                                 const model::Snapshot& snapshot, int64_t now) {
  const auto it = topology.reach.find(report.backend);
  if (it == topology.reach.end() || !it->second.resolved || it->second.source != report.source) return Learnt::kIgnored;
  if (report.inner_destination && !is_listener(snapshot, *report.inner_destination)) return Learnt::kIgnored;
  const PathMtu* known = find(report.backend);
  const uint32_t mtu = mtu_of(report);
  const uint32_t now_used = known == nullptr ? it->second.mtu : std::min(it->second.mtu, known->mtu);
  const bool again = known != nullptr && mtu == known->mtu;
  if (mtu == 0 || (mtu >= now_used && !again)) return Learnt::kIgnored;
  known_[report.backend] = {
      .mtu = static_cast<uint16_t>(mtu), .from = report.from, .since = now, .expires = now + kLifeS};
  return again ? Learnt::kAgain : Learnt::kChanged;
}

bool PathMtus::expire(int64_t now) {
  return std::erase_if(known_, [&](const auto& entry) { return entry.second.expires <= now; }) > 0;
}

void PathMtus::keep_only(const std::set<net::Address>& backends) {
  std::erase_if(known_, [&](const auto& entry) { return !backends.contains(entry.first); });
}

void PathMtus::apply(model::Topology& topology) const {
  for (const auto& [backend, path] : known_) {
    const auto it = topology.reach.find(backend);
    if (it == topology.reach.end() || !it->second.resolved || it->second.mtu <= path.mtu) continue;
    it->second.mtu = path.mtu;
    it->second.mtu_from = model::MtuFrom::kPath;
  }
}

const PathMtu* PathMtus::find(const net::Address& backend) const {
  const auto it = known_.find(backend);
  return it == known_.end() ? nullptr : &it->second;
}

}  // namespace lb::ctl
