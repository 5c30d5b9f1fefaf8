#include "dataplane/stages/usual.h"

#include <cstddef>
#include <cstring>

#include "dataplane/stages/rewrite.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// Pool and flags of a backend as one word.
uint32_t standing(const lb_backend& b) noexcept {
  static_assert(offsetof(lb_backend, pool) == 60 && offsetof(lb_backend, flags) == 62);
  uint32_t word;
  std::memcpy(&word, reinterpret_cast<const uint8_t*>(&b) + offsetof(lb_backend, pool), sizeof word);
  return word;
}
constexpr uint32_t standing_of(uint16_t pool, uint32_t flags) noexcept {
  return pool | flags << 16;
}

// What a service asks of a backend that is sent to by it. By dsr IPv4 goes to IPv4 only.
struct Wanted {
  uint32_t service = LB_NO_SERVICE;
  uint32_t mask = 0, standing = 0;
  bool is_tunnel = false;

  void look_up(const lb_service* services, uint32_t which) noexcept {
    constexpr uint32_t kFine = LB_BACKEND_SERVING | LB_BACKEND_RESOLVED;
    const lb_service& s = services[which];
    service = which;
    is_tunnel = s.forward == LB_FORWARD_IPIP;
    mask = standing_of(0xffff, is_tunnel ? kFine : kFine | LB_BACKEND_ON_LINK | LB_BACKEND_IPV6);
    standing = standing_of(s.pool, is_tunnel ? kFine : kFine | LB_BACKEND_ON_LINK);
  }
};

// Those whose flow goes on in the class of `now`, which is its state from now on, to a backend that can be sent to.
void find(Batch& b, uint64_t slots, const Snapshot& s, uint16_t now, UsualFound& out) noexcept {
  const lb_backend* const backends = s.backends.data();
  const auto backend_count = static_cast<uint32_t>(s.backends.size());
  Usual& u = b.usual;
  Wanted wanted;
  for (const Slot i : Bits(slots)) {
    lb_flow_line& line = *u.line[i];
    const uint32_t found = net::match_tags(line, u.hash[i]);
    if (found == 0) continue;
    const auto entry = static_cast<uint32_t>(__builtin_ctz(found)) / 2;
    const uint16_t was = line.state[entry], id = line.backend[entry];
    if (((was ^ now) & ~LB_FLOW_TIME) != 0 || id >= backend_count) continue;
    if (u.service[i] != wanted.service) wanted.look_up(s.services.data(), u.service[i]);
    const uint32_t standing = stages::standing(backends[id]);
    if ((standing & wanted.mask) != wanted.standing) continue;
    if (was != now) net::put(line.state[entry], now);
    u.backend[i] = id;
    out.add(1ull << i, wanted.is_tunnel, backends[id]);
  }
}

// Flows that begin or end in this batch, by some bits of their hash: a SYN, FIN or RST and what comes before and after
// it take their turns with the entry, in find_flows(). A few others are among them by chance.
class Turning {
 public:
  explicit Turning(const Batch& b) noexcept {
    const uint64_t usual = b.live & b.usual.bare;
    for (const Slot i : Bits(usual & ~b.usual.plain)) mark(b.usual.hash[i]);
    for (const Slot i : Bits(b.live & ~usual))
      if ((b.meta[i].tcp & (LB_TCP_SYN | LB_TCP_FIN | LB_TCP_RST)) != 0) mark(b.meta[i].hash);
  }
  uint64_t without(uint64_t slots, const Usual& u) const noexcept {
    if (!any_) return slots;
    for (const Slot i : Bits(slots)) slots &= ~((marks_[u.hash[i] % kMarks / 64] >> u.hash[i] % 64 & 1) << i);
    return slots;
  }

 private:
  static constexpr uint32_t kMarks = 1024;
  void mark(uint64_t hash) noexcept {
    marks_[hash % kMarks / 64] |= 1ull << hash % 64;
    any_ = true;
  }
  std::array<uint64_t, kMarks / 64> marks_{};
  bool any_ = false;
};

}  // namespace

void send_usual(Batch& b, const Snapshot& s, FlowTracker& t) noexcept {
  uint64_t slots = b.usual.bare & b.usual.plain & b.live;
  if (slots == 0) return;
  if (slots != b.live) slots = Turning(b).without(slots, b.usual);
  UsualFound found;
  for (const bool udp : {false, true}) {
    const uint64_t some = slots & (udp ? b.usual.udp : ~b.usual.udp);
    if (some != 0) find(b, some, s, lb_flow_state(udp ? LB_FLOW_UDP : LB_FLOW_ESTABLISHED, t.now_ms()), found);
  }
  const uint64_t sent = rewrite_usual(b, found, s);
  b.usual.sent = sent;
  b.usual.bare &= ~sent;
  b.live &= ~sent;
  t.count(LB_COUNT_FlowHits, static_cast<uint64_t>(__builtin_popcountll(sent)));
}

}  // namespace lb::stages
