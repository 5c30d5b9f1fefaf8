#include "dataplane/stages/usual.h"

#include <cstddef>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/net/outer.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// Lines asked for ahead of the one that is looked at: about what a core can have under way.
constexpr uint32_t kAhead = 20;

// What a service asks of a backend that is sent to by it, as bits of lb_backend::flags. By dsr IPv4 goes to IPv4 only.
struct Wanted {
  uint32_t service = LB_NO_SERVICE;
  uint16_t pool = 0;
  uint8_t mask = 0, flags = 0;
  bool tunnel = false;

  void look_up(const lb_service* services, uint32_t which) noexcept {
    constexpr uint8_t kFine = LB_BACKEND_SERVING | LB_BACKEND_RESOLVED;
    service = which;
    pool = services[which].pool;
    tunnel = services[which].forward == LB_FORWARD_IPIP;
    mask = tunnel ? kFine : kFine | LB_BACKEND_ON_LINK | LB_BACKEND_IPV6;
    flags = tunnel ? kFine : kFine | LB_BACKEND_ON_LINK;
  }
};

// In registers: the packet is bytes, and a store to bytes may be a store to anything.
class Sender {
 public:
  Sender(Batch& b, const Snapshot& s, uint64_t now_ms) noexcept
      : b_(b),
        services_(s.services.data()),
        backends_(s.backends.data()),
        backend_count_(static_cast<uint32_t>(s.backends.size())),
        tcp_now_(lb_flow_state(LB_FLOW_ESTABLISHED, now_ms)),
        udp_now_(lb_flow_state(LB_FLOW_UDP, now_ms)) {}

  // RETURNS: whether it was sent; if not, nothing has happened.
  bool send(Slot i, lb_flow_line& line) noexcept {
    const Usual& u = b_.usual;
    const uint32_t found = net::match_flow(line, static_cast<uint32_t>(u.hash[i]));
    if (found == 0) return false;
    const auto entry = static_cast<uint32_t>(__builtin_ctz(found));
    const uint16_t was = line.state[entry], id = line.backend[entry];
    const uint16_t now = (u.udp >> i & 1) != 0 ? udp_now_ : tcp_now_;
    if (((was ^ now) & ~LB_FLOW_TIME) != 0 || id >= backend_count_) return false;
    if (u.service[i] != wanted_.service) wanted_.look_up(services_, u.service[i]);
    const lb_backend& backend = backends_[id];
    if ((backend.flags & wanted_.mask) != wanted_.flags || backend.pool != wanted_.pool) return false;
    if (!(wanted_.tunnel ? tunnel(i, backend) : pass_on(i, backend))) return false;
    if (was != now) net::put(line.state[entry], now);
    b_.usual.backend[i] = id;
    b_.verdict[i] = Verdict::kForward;
    b_.egress[i] = backend.port;
    return true;
  }

 private:
  static uint32_t ttl_word(const uint8_t* ip) noexcept {  // TTL, protocol, checksum
    uint32_t word;
    std::memcpy(&word, ip + offsetof(lb_ipv4, ttl), 4);
    return word;
  }
  static void take_one_hop(uint8_t* ip, uint32_t word) noexcept {
    const uint32_t less = lb_csum_decrement(word);
    std::memcpy(ip + offsetof(lb_ipv4, ttl), &less, 4);
  }

  bool pass_on(Slot i, const lb_backend& backend) noexcept {
    uint8_t* const frame = b_.data[i];
    const uint32_t word = ttl_word(frame + sizeof(lb_eth)), length = b_.usual.ip_length[i];
    if ((word & 0xff) <= 1 || length > backend.mtu) return false;
    take_one_hop(frame + sizeof(lb_eth), word);
    std::memcpy(frame, backend.head, 12);
    b_.length[i] = static_cast<uint16_t>(sizeof(lb_eth) + length);
    return true;
  }

  bool tunnel(Slot i, const lb_backend& backend) noexcept {
    if ((backend.flags & LB_BACKEND_IPV6) != 0) return tunnel_by<sizeof(lb_ipv6)>(i, backend);
    return tunnel_by<sizeof(lb_ipv4)>(i, backend);
  }
  template <uint32_t outer>
  [[gnu::always_inline]] bool tunnel_by(Slot i, const lb_backend& backend) noexcept {
    uint8_t* const data = b_.data[i];
    uint8_t* const ip = data + sizeof(lb_eth);
    const uint32_t word = ttl_word(ip), length = b_.usual.ip_length[i], headroom = b_.headroom[i];
    if ((word & 0xff) <= 1 || length + outer > backend.mtu || headroom < outer) return false;
    take_one_hop(ip, word);
    const uint8_t tos = ip[offsetof(lb_ipv4, tos)];
    uint8_t* const frame = data - outer;
    if constexpr (outer == sizeof(lb_ipv6))
      lb_outer_ipv6(frame, &backend, LB_PROTO_IPIP, tos, static_cast<uint16_t>(length),
                    lb_flow_label(b_.usual.hash[i]));
    else
      lb_outer_ipv4(frame, &backend, LB_PROTO_IPIP, tos, static_cast<uint16_t>(length));
    b_.data[i] = frame;
    b_.headroom[i] = static_cast<uint16_t>(headroom - outer);
    b_.length[i] = static_cast<uint16_t>(sizeof(lb_eth) + outer + length);
    return true;
  }

  Batch& b_;
  const lb_service* const services_;
  const lb_backend* const backends_;
  const uint32_t backend_count_;
  const uint16_t tcp_now_, udp_now_;
  Wanted wanted_;
};

}  // namespace

void send_usual(Batch& b, const Snapshot& s, FlowTracker& t) noexcept {
  const uint64_t slots = b.usual.slots & b.usual.plain & b.live;
  if (slots == 0) return;
  const FlowTable& own = t.own();
  std::array<lb_flow_line*, kBatch + kAhead> lines;
  std::array<uint8_t, kBatch> order;
  uint32_t n = 0;
  for (const Slot i : Bits(slots)) {
    lines[n] = own.lines + lb_flow_first_line(b.usual.hash[i], own.count);
    order[n++] = static_cast<uint8_t>(i);
  }
  for (uint32_t k = 0; k < kAhead; k++) {
    lines[n + k] = lines[n - 1];
    __builtin_prefetch(lines[k], 1);
  }
  Sender sender(b, s, t.now_ms());
  uint64_t sent = 0;
  for (uint32_t k = 0; k < n; k++) {
    __builtin_prefetch(lines[k + kAhead], 1);
    const Slot i = order[k];
    sent |= static_cast<uint64_t>(sender.send(i, *lines[k])) << i;
  }
  b.usual.sent = sent;
  b.usual.slots &= ~sent;
  b.live &= ~sent;
  t.count(LB_COUNT_FlowHits, static_cast<uint64_t>(__builtin_popcountll(sent)));
}

}  // namespace lb::stages
