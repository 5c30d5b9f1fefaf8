#include "dataplane/stages/split.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "dataplane/net/csum.h"
#include "dataplane/stages/rewrite.h"

namespace lb::stages {
namespace {

constexpr uint8_t kEndOfOptions = 0, kNoOperation = 1, kCopied = 0x80;  // RFC 791 section 3.1

uint32_t header_of(const uint8_t* ip) noexcept {
  return (ip[0] & 15u) * 4;
}

}  // namespace

bool can_split(const uint8_t* ip, uint32_t room) noexcept {
  const uint16_t frag = lb_ntohs(reinterpret_cast<const lb_ipv4*>(ip)->frag);
  return ip[0] >> 4 == 4 && (frag & LB_IPV4_DF) == 0 && room >= header_of(ip) + 8;
}

Split::Split(const Batch& b, Slot i, const model::Snapshot& snapshot) noexcept
    : backend_(snapshot.backends[b.meta[i].backend]),
      meta_(b.meta[i]),
      ip_(b.data[i] + meta_.l3),
      data_(ip_ + header_of(ip_)),
      bytes_(meta_.ip_length - header_of(ip_)),
      tag_(lb_tag_bytes(&backend_)),
      outer_(outer_bytes(snapshot.services[meta_.service], backend_)),
      room_(backend_.mtu - outer_),
      first_header_(header_of(ip_)) {
  keep_copied_options();
}

// RFC 791 section 3.1: only options with the copied flag go into every fragment.
void Split::keep_copied_options() noexcept {
  std::memcpy(later_.data(), ip_, sizeof(lb_ipv4));
  for (uint32_t at = sizeof(lb_ipv4); at < first_header_ && ip_[at] != kEndOfOptions;) {
    if (ip_[at] == kNoOperation) {
      at++;
      continue;
    }
    if (at + 1 >= first_header_) break;
    const uint32_t bytes = ip_[at + 1];
    if (bytes < 2 || at + bytes > first_header_) break;  // nobody can tell what comes behind it
    if ((ip_[at] & kCopied) != 0) {
      std::memcpy(later_.data() + later_header_, ip_ + at, bytes);
      later_header_ += bytes;
    }
    at += bytes;
  }
  later_header_ = (later_header_ + 3) & ~3u;  // what fills it up is zero: the end of the options
  later_[0] = static_cast<uint8_t>(0x40 | later_header_ / 4);
}

uint32_t Split::piece_bytes() const noexcept {
  const uint32_t most = room_ - header_bytes();
  return left() <= most ? left() : most & ~7u;
}

void Split::write_ip(uint8_t* ip, uint32_t bytes) const noexcept {
  const uint32_t header = header_bytes();
  std::memcpy(ip, at_ == 0 ? ip_ : later_.data(), header);
  std::memcpy(ip + header, data_ + at_, bytes);
  const auto* whole = reinterpret_cast<const lb_ipv4*>(ip_);
  auto* h = reinterpret_cast<lb_ipv4*>(ip);
  const bool more = bytes < left();
  h->total_length = lb_htons(static_cast<uint16_t>(header + bytes));
  h->frag = lb_htons(static_cast<uint16_t>((lb_ntohs(whole->frag) + at_ / 8) | (more ? LB_IPV4_MF : 0)));
  h->ttl = static_cast<uint8_t>(whole->ttl - 1);
  h->csum = 0;
  h->csum = lb_csum_ipv4(ip, header);
}

void Split::write_front(uint8_t* to, uint32_t ip_bytes) const noexcept {
  uint8_t* const frame = to + tag_;
  const auto length = static_cast<uint16_t>(ip_bytes);
  const uint8_t tos = ip_[offsetof(lb_ipv4, tos)];
  if (outer_ == 0) {
    std::memcpy(frame, backend_.head, 12);
    const lb_be16 type = lb_htons(LB_ETH_IPV4);
    std::memcpy(frame + 12, &type, 2);
  } else {
    write_outer(frame, backend_, {.proto = LB_PROTO_IPIP, .tos = tos, .bytes = length, .hash = meta_.hash});
  }
  if (tag_ != 0) lb_push_tag(frame, backend_.vlan);
}

void Split::write(uint8_t* to) noexcept {
  const uint32_t bytes = piece_bytes(), ip_bytes = header_bytes() + bytes;
  write_front(to, ip_bytes);
  write_ip(to + front(), bytes);
  at_ += bytes;
}

}  // namespace lb::stages
