#include "dataplane/stages/answer.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/net/hash.h"
#include "dataplane/stages/answer_parts.h"
#include "dataplane/stages/rewrite.h"

namespace lb::stages {
namespace {

using model::Snapshot;

// parse() has dropped every source that is no host's but class E (RFC 1122 section 3.2.2).
bool is_one_host(const Meta& m) noexcept {
  return m.family == 6 || m.src.b[12] < 240;
}

bool is_icmp(const Meta& m) noexcept {
  return m.proto == LB_PROTO_ICMP || m.proto == LB_PROTO_ICMPV6;
}

// May there be an error about it at all?
bool is_due(const Batch& b, Slot i) noexcept {
  const Meta& m = b.meta[i];
  if ((b.quoting >> i & 1) != 0 || is_icmp(m)) return false;
  return m.fragment != kLaterFragment;
}

// A segment that is not whole does not say where it ends.
AnswerKind reject(const Batch& b, Slot i) noexcept {
  const Meta& m = b.meta[i];
  if (m.proto != LB_PROTO_TCP) return AnswerKind::kPortUnreachable;
  const uint8_t flags = b.data[i][m.l4 + offsetof(lb_tcp, flags)];
  return m.fragment != 0 || (flags & LB_TCP_RST) != 0 ? AnswerKind::kSilence : AnswerKind::kReset;
}

// The largest IP packet that fits behind the outer header. What is less than an IPv6 host must be able to send is not
// said to one (RFC 2473 section 7.1).
uint32_t mtu_inside(const Meta& m, const Snapshot& s) noexcept {
  const lb_backend& backend = s.backends[m.backend];
  const uint32_t outer = outer_bytes(s.services[m.service], backend);
  const uint32_t mtu = backend.mtu > outer ? backend.mtu - outer : 0;
  return m.family == 6 ? std::max(mtu, LB_IPV6_LEAST_MTU) : mtu;
}

AnswerKind kind_of(const Batch& b, Slot i, const Snapshot& s) noexcept {
  const Meta& m = b.meta[i];
  const uint8_t* const frame = b.data[i];
  const bool group = ((frame[0] | frame[6]) & 1) != 0;  // to one, or as if from one
  if (group || !is_one_host(m)) return AnswerKind::kSilence;
  if (b.reason[i] == LB_DROP_EchoLimited) return AnswerKind::kEcho;
  if (!is_due(b, i)) return AnswerKind::kSilence;
  switch (b.reason[i]) {
    case LB_DROP_NoListener:
      return reject(b, i);
    case LB_DROP_TtlExpired:
      return AnswerKind::kTimeExceeded;
    case LB_DROP_TooBig:  // one that nobody can make smaller gets no answer
      return m.ip_length > mtu_inside(m, s) ? AnswerKind::kTooBig : AnswerKind::kSilence;
    default:
      return AnswerKind::kSilence;
  }
}

bool has_room(const Batch& b, Slot i, AnswerKind kind) noexcept {
  if (kind == AnswerKind::kEcho || kind == AnswerKind::kReset) return true;
  return b.headroom[i] >= ip_header_bytes(b.meta[i]) + sizeof(lb_icmp);
}

uint64_t source_hash(const Meta& m, const lb_hash_key& key) noexcept {
  return m.family == 4 ? lb_source_hash4(&key, lb_load32(m.src.b + 12)) : lb_source_hash6(&key, lb_load64(m.src.b), 0);
}

// A router's errors come from an address of the port that the packet came in by, when it has one.
lb_addr router_address(const Batch& b, const Meta& m, const Snapshot& s) noexcept {
  if (b.ingress >= s.port_addresses.size()) return m.dst;
  const model::PortAddress& port = s.port_addresses[b.ingress];
  const auto& address = m.family == 4 ? port.ipv4 : port.ipv6;
  return address ? address->raw() : m.dst;
}

void make(Batch& b, Slot i, AnswerKind kind, const Snapshot& s) noexcept {
  const Meta& m = b.meta[i];
  if (kind == AnswerKind::kEcho) return answer_echo(b, i);
  if (kind == AnswerKind::kReset) return answer_reset(b, i);
  if (kind == AnswerKind::kPortUnreachable) return answer_error(b, i, kind, m.dst, 0);
  answer_error(b, i, kind, router_address(b, m, s), kind == AnswerKind::kTooBig ? mtu_inside(m, s) : 0);
}

}  // namespace

void answer(Batch& b, const Snapshot& snapshot, Answers* answers) noexcept {
  if (answers == nullptr) return;
  for (const Slot i : Bits(b.refused)) {
    const AnswerKind kind = kind_of(b, i, snapshot);
    if (kind == AnswerKind::kSilence || !has_room(b, i, kind)) continue;
    if (!answers->take(static_cast<Drop>(b.reason[i]), source_hash(b.meta[i], snapshot.hash_key))) continue;
    make(b, i, kind, snapshot);
    b.verdict[i] = Verdict::kAnswer;
    b.egress[i] = b.ingress;
  }
}

}  // namespace lb::stages
