#include "tests/conformance/edge_frames.h"

#include <algorithm>
#include <string>

#include "tests/property/frames.h"

namespace lb::conformance {
namespace {

using packet::Bytes;
using packet::Packet;
using property::pick;

std::string_view text_of(const Bytes& b) {
  return {reinterpret_cast<const char*>(b.data()), b.size()};
}

}  // namespace

Bytes EdgeFrames::next() {
  const uint64_t kind = pick(random_, 10);
  if (kind < 5) return fragment();
  if (kind < 8) return error();
  return kind == 8 ? echo() : to_closed_port();
}

EdgeFrames::Flow EdgeFrames::flow() {
  static constexpr To kTo[] = {{"192.0.2.60", "2001:db8::60", 80, false}, {"192.0.2.61", nullptr, 53, true},
                               {"192.0.2.10", "2001:db8::10", 53, true},  {"192.0.2.30", "2001:db8::30", 8050, true},
                               {"192.0.2.30", "2001:db8::30", 99, true},  {"192.0.2.62", nullptr, 80, false},
                               {"192.0.2.16", "2001:db8::16", 53, true},  {"192.0.2.20", "2001:db8::20", 80, false}};
  const To& to = kTo[pick(random_, std::size(kTo))];
  const bool ipv6 = to.ipv6 != nullptr && pick(random_, 2) == 0;
  return {.to = to,
          .ipv6 = ipv6,
          .client = (ipv6 ? "2001:db8:f::" : "198.51.100.") + std::to_string(1 + pick(random_, clients_)),
          .vip = ipv6 ? to.ipv6 : to.ipv4,
          .sport = static_cast<uint16_t>(1024 + pick(random_, ports_))};
}

Packet EdgeFrames::front() {
  Packet p = packet::eth();
  if (pick(random_, 8) == 0) p.vlan(static_cast<uint16_t>(pick(random_, 3)));
  return p;
}

// bytes: from `start` on of what is behind the IP header.
Packet EdgeFrames::one_of(const Flow& f, uint32_t id, size_t start, const Bytes& bytes, bool more) {
  const uint8_t hops = pick(random_, 30) == 0 ? 1 : 64;
  const auto units = static_cast<uint16_t>(start / 8);
  const uint8_t proto = f.to.udp ? 17 : 6;
  Packet p = front();
  if (!f.ipv6)
    return p
        .ip4(f.client, f.vip,
             {.ttl = hops, .id = static_cast<uint16_t>(id), .df = false, .mf = more, .offset = units, .proto = proto})
        .payload(text_of(bytes));
  // The fragment header as bytes: its next header is what the first fragment has.
  Bytes header = {proto, 0, static_cast<uint8_t>(units >> 5), static_cast<uint8_t>(units << 3 | (more ? 1 : 0))};
  for (const int shift : {24, 16, 8, 0}) header.push_back(static_cast<uint8_t>(id >> shift));
  header.insert(header.end(), bytes.begin(), bytes.end());
  return p.ip6(f.client, f.vip, {.hop_limit = hops, .next = 44}).payload(text_of(header));
}

// Cut at random places; some with a hole, an overlap, a fragment twice, or in any order.
void EdgeFrames::cut_datagram() {
  const Flow f = flow();
  Packet l4 = f.ipv6 ? packet::ip6(f.client, f.vip) : packet::ip4(f.client, f.vip);
  if (f.to.udp)
    l4.udp(f.sport, f.to.port);
  else
    l4.tcp(f.sport, f.to.port, {.flags = 0x18});
  Bytes all = l4.payload_size(8 + pick(random_, 3000)).bytes();
  all.erase(all.begin(), all.begin() + (f.ipv6 ? 40 : 20));
  const auto id = static_cast<uint32_t>(pick(random_, 50));
  std::vector<Bytes> cut;
  for (size_t at = 0; at < all.size();) {
    const size_t step = std::min<size_t>(all.size() - at, 8 * (1 + pick(random_, pick(random_, 4) == 0 ? 3 : 180)));
    const size_t back = at >= 8 && pick(random_, 30) == 0 ? 8 : 0;
    const Bytes some(all.begin() + static_cast<ptrdiff_t>(at - back), all.begin() + static_cast<ptrdiff_t>(at + step));
    if (pick(random_, 20) != 0) cut.push_back(one_of(f, id, at - back, some, at + step < all.size()).bytes());
    if (pick(random_, 20) == 0 && !cut.empty()) cut.push_back(cut.back());
    at += step;
  }
  if (pick(random_, 2) == 0) std::shuffle(cut.begin(), cut.end(), random_);
  std::reverse(cut.begin(), cut.end());  // they are taken from the end
  fragments_.insert(fragments_.end(), cut.begin(), cut.end());
}

Bytes EdgeFrames::fragment() {
  if (fragments_.empty() || pick(random_, 10) == 0) cut_datagram();
  if (fragments_.empty()) return echo();
  const size_t at = pick(random_, 8) == 0 ? pick(random_, fragments_.size()) : fragments_.size() - 1;
  Bytes f = std::move(fragments_[at]);
  fragments_.erase(fragments_.begin() + static_cast<ptrdiff_t>(at));
  return f;
}

// What a backend sent to the client, in an error of some router's.
Bytes EdgeFrames::error() {
  const Flow f = flow();
  Packet quoted = f.ipv6 ? packet::ip6(f.vip, f.client) : packet::ip4(f.vip, f.client);
  if (f.ipv6 && pick(random_, 6) == 0) quoted.extension(0);
  if (f.to.udp)
    quoted.udp(f.to.port, f.sport);
  else
    quoted.tcp(f.to.port, f.sport, {.flags = 0x10});
  Bytes quote = quoted.payload_size(pick(random_, 1000)).bytes();
  const size_t least = f.ipv6 ? 40 : 20;
  if (pick(random_, 2) == 0) quote.resize(std::min(quote.size(), least + pick(random_, 24)));
  constexpr uint8_t kTypes4[] = {3, 3, 11, 12}, kTypes6[] = {1, 2, 3, 4};
  Packet p = front();
  const uint8_t hops = pick(random_, 30) == 0 ? 1 : 60;
  if (f.ipv6)
    p.ip6("2001:db8:9::1", f.vip, {.hop_limit = hops}).icmp6(kTypes6[pick(random_, 4)], 0, 1400);
  else
    p.ip4("203.0.113.1", f.vip, {.ttl = hops}).icmp(kTypes4[pick(random_, 4)], 4, 1400);
  return p.payload(text_of(quote)).bytes();
}

Bytes EdgeFrames::echo() {
  const Flow f = flow();
  Packet p = front();
  if (f.ipv6)
    p.ip6(f.client, f.vip).icmp6(128, 0, 7);
  else
    p.ip4(f.client, f.vip, {.options = Bytes(pick(random_, 6) == 0 ? 8 : 0, 1)}).icmp(8, 0, 7);
  return p.payload_size(pick(random_, 1400)).bytes();
}

Bytes EdgeFrames::to_closed_port() {
  const Flow f = flow();
  Packet p = front();
  const bool is_rejecting = pick(random_, 2) == 0;
  if (f.ipv6)
    p.ip6(f.client, is_rejecting ? "2001:db8::70" : f.vip);
  else
    p.ip4(f.client, is_rejecting ? "192.0.2.70" : f.vip);
  if (pick(random_, 2) == 0)
    p.udp(f.sport, 4711);
  else
    p.tcp(f.sport, 4711, {.flags = static_cast<uint8_t>(random_())});
  return p.payload_size(pick(random_, 1400)).bytes();
}

}  // namespace lb::conformance
