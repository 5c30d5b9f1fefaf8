#include "tests/packet/fragmenter.h"

#include <algorithm>
#include <map>

namespace lb::packet {
namespace {

constexpr size_t kEth = 14;

uint16_t word(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b[at] << 8 | b[at + 1]);
}
void set_word(Bytes& b, size_t at, size_t value) {
  b[at] = static_cast<uint8_t>(value >> 8);
  b[at + 1] = static_cast<uint8_t>(value);
}
bool is_ipv6(const Bytes& frame) {
  return frame[12] == 0x86;
}
size_t payload_at(const Bytes& frame) {
  return kEth + (is_ipv6(frame) ? 40 : 20);
}
size_t payload_end(const Bytes& frame) {
  return is_ipv6(frame) ? kEth + 40 + word(frame, kEth + 4) : kEth + word(frame, kEth + 2);
}

Bytes piece_of(const Bytes& frame, size_t from, size_t to, uint32_t id) {
  const size_t begin = payload_at(frame), whole = payload_end(frame) - begin;
  const bool more = to < whole;
  Bytes piece(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(begin));
  if (is_ipv6(frame)) {
    const uint8_t next = piece[kEth + 6];
    piece[kEth + 6] = 44;
    set_word(piece, kEth + 4, to - from + 8);
    Bytes header(8);
    header[0] = next;
    set_word(header, 2, from | (more ? 1 : 0));
    set_word(header, 4, id >> 16);
    set_word(header, 6, id & 0xffff);
    piece.insert(piece.end(), header.begin(), header.end());
  } else {
    set_word(piece, kEth + 2, to - from + 20);
    set_word(piece, kEth + 4, id & 0xffff);
    set_word(piece, kEth + 6, from / 8 | (more ? 0x2000 : 0));
    set_word(piece, kEth + 10, 0);
    set_word(piece, kEth + 10, checksum(std::span(piece).subspan(kEth, 20)));
  }
  const auto at = frame.begin() + static_cast<ptrdiff_t>(begin);
  piece.insert(piece.end(), at + static_cast<ptrdiff_t>(from), at + static_cast<ptrdiff_t>(to));
  return piece;
}

}  // namespace

size_t units_of(const Bytes& frame) {
  return (payload_end(frame) - payload_at(frame) + 7) / 8;
}

std::vector<Bytes> cut_at(const Bytes& frame, const std::vector<size_t>& offsets, uint32_t id) {
  const size_t whole = payload_end(frame) - payload_at(frame);
  std::vector<Bytes> pieces;
  for (size_t k = 0; k < offsets.size(); k++) {
    const size_t to = k + 1 < offsets.size() ? offsets[k + 1] * 8 : whole;
    pieces.push_back(piece_of(frame, offsets[k] * 8, to, id));
  }
  return pieces;
}

std::vector<Bytes> cut_every(const Bytes& frame, size_t units, uint32_t id) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < units_of(frame); at += units) offsets.push_back(at);
  return cut_at(frame, offsets, id);
}

std::optional<Bytes> put_together(const std::vector<Bytes>& packets) {
  std::map<size_t, const Bytes*> by_offset;
  for (const Bytes& p : packets) {
    const size_t header = (p[0] & 15u) * 4;
    if (p.size() != word(p, 2) || checksum(std::span(p).first(header)) != 0) return std::nullopt;
    if (!by_offset.emplace((word(p, 6) & 0x1fff) * 8, &p).second) return std::nullopt;
  }
  Bytes whole;
  size_t at = 0;
  for (const auto& [offset, p] : by_offset) {
    const size_t header = (word(*p, 0) >> 8 & 15) * 4;
    const bool last = offset == by_offset.rbegin()->first, more = (word(*p, 6) & 0x2000) != 0;
    if (offset != at || more == last) return std::nullopt;
    if (whole.empty()) whole.assign(p->begin(), p->begin() + static_cast<ptrdiff_t>(header));
    whole.insert(whole.end(), p->begin() + static_cast<ptrdiff_t>(header), p->end());
    at += p->size() - header;
  }
  if (whole.empty()) return std::nullopt;
  set_word(whole, 2, whole.size());
  set_word(whole, 6, 0);
  set_word(whole, 10, 0);
  return whole;
}

}  // namespace lb::packet
