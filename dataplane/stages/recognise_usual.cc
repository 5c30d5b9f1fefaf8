// Eight untagged IPv4 packets at once: field by field, all eight in one vector. What is asked of each is what
// recognise.cc asks of one; a packet that fails any question is left to it.
#include "dataplane/stages/recognise_lookup.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace lb::stages {

#ifdef __AVX2__
namespace {

constexpr uint32_t kLanes = 8;
// Ethernet, IPv4, and the first 20 bytes behind it, of which the last four are not looked at.
constexpr uint16_t kLeastBytes = 54;

using Lanes = __m256i;

Lanes all(uint32_t value) noexcept {
  return _mm256_set1_epi32(static_cast<int>(value));
}
Lanes is(Lanes a, uint32_t value) noexcept {
  return _mm256_cmpeq_epi32(a, all(value));
}
Lanes more(Lanes a, Lanes b) noexcept {  // signed
  return _mm256_cmpgt_epi32(a, b);
}
Lanes both(Lanes a, Lanes b) noexcept {
  return _mm256_and_si256(a, b);
}
uint32_t bits_of(Lanes yes) noexcept {
  return static_cast<uint32_t>(_mm256_movemask_ps(_mm256_castsi256_ps(yes)));
}

struct Rows {
  Lanes word[4];
};

// 16 bytes of each packet, as the first, second, third and fourth word of all.
Rows transpose(const uint8_t* const* packet, size_t at) noexcept {
  const auto pair = [&](uint32_t i) {
    const auto half = [&](uint32_t k) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(packet[k] + at)); };
    return _mm256_inserti128_si256(_mm256_castsi128_si256(half(i)), half(i + 4), 1);
  };
  const Lanes r0 = pair(0), r1 = pair(1), r2 = pair(2), r3 = pair(3);
  const Lanes a = _mm256_unpacklo_epi32(r0, r1), b = _mm256_unpacklo_epi32(r2, r3);
  const Lanes c = _mm256_unpackhi_epi32(r0, r1), d = _mm256_unpackhi_epi32(r2, r3);
  return {{_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b), _mm256_unpacklo_epi64(c, d),
           _mm256_unpackhi_epi64(c, d)}};
}

// A 16-bit number of the packet from bytes `at` and `at` + 1 of each word.
template <int at>
Lanes number(Lanes word) noexcept {
  constexpr char k = at, z = -1;
  const __m128i half = _mm_setr_epi8(k + 1, k, z, z, k + 5, k + 4, z, z, k + 9, k + 8, z, z, k + 13, k + 12, z, z);
  return _mm256_shuffle_epi8(word, _mm256_broadcastsi128_si256(half));
}

// `low` and `high` of each packet side by side, in order.
void store_pairs(uint64_t* to, Lanes low, Lanes high) noexcept {
  const Lanes even = _mm256_unpacklo_epi32(low, high), odd = _mm256_unpackhi_epi32(low, high);
  _mm256_store_si256(reinterpret_cast<Lanes*>(to), _mm256_permute2x128_si256(even, odd, 0x20));
  _mm256_store_si256(reinterpret_cast<Lanes*>(to + 4), _mm256_permute2x128_si256(even, odd, 0x31));
}
__m128i halves(Lanes words) noexcept {
  return _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// A sum over the halves of the words; the checksum is right when it is a multiple of 0xffff, and it is never 0.
Lanes checksum_is_right(Lanes w0, Lanes w1, Lanes w2, Lanes w3, Lanes w4) noexcept {
  const auto sum = [](auto... v) {
    Lanes s = _mm256_setzero_si256();
    ((s = _mm256_add_epi32(s, v)), ...);
    return s;
  };
  const Lanes low = all(0xffff);
  const Lanes total =
      sum(both(w0, low), both(w1, low), both(w2, low), both(w3, low), both(w4, low), _mm256_srli_epi32(w0, 16),
          _mm256_srli_epi32(w1, 16), _mm256_srli_epi32(w2, 16), _mm256_srli_epi32(w3, 16), _mm256_srli_epi32(w4, 16));
  return is(_mm256_add_epi32(both(total, low), _mm256_srli_epi32(total, 16)), 0xffff);
}

// As Lookup::surely_foreign(mapped(src).hash()), and no source that no client can have.
Lanes is_client(Lanes src, const Lookup& l) noexcept {
  const Lanes net = both(src, all(0xff));
  const Lanes is_host = _mm256_andnot_si256(is(net, 127), both(more(net, all(0)), more(all(224), net)));
  const uint32_t start = lb_mix32(lb_mix32(lb_mix32(LB_ADDRESS_SEED, 0), 0), 0xffff0000u);
  const Lanes mixed = _mm256_mullo_epi32(_mm256_xor_si256(src, all(start)), all(LB_MIX_FACTOR));
  const Lanes bit = both(_mm256_xor_si256(mixed, _mm256_srli_epi32(mixed, 15)), all(l.bits_mask));
  const Lanes word =
      _mm256_i32gather_epi32(reinterpret_cast<const int*>(l.bits), _mm256_srli_epi32(bit, 5), sizeof(uint32_t));
  const Lanes ours = both(_mm256_srlv_epi32(word, both(bit, all(31))), all(1));
  return both(is_host, is(ours, 0));
}

struct L4 {
  Lanes sound, tcp, is_udp;  // tcp: Meta::tcp
};

// bytes: of the packet behind its IP header; second and fourth: words of the L4 header.
L4 read_l4(Lanes proto, Lanes bytes, Lanes second, Lanes fourth) noexcept {
  const Lanes is_tcp = is(proto, LB_PROTO_TCP), is_udp = is(proto, LB_PROTO_UDP);
  const Lanes header = _mm256_srli_epi32(both(fourth, all(0xf0)), 2);
  const Lanes fits = _mm256_andnot_si256(more(header, bytes), more(header, all(sizeof(lb_tcp) - 1)));
  const Lanes flags = both(_mm256_srli_epi32(fourth, 8), all(kTcpFlags));
  const Lanes tcp = _mm256_or_si256(flags, both(more(bytes, header), all(kTcpPayload)));
  const Lanes length = number<0>(second);
  const Lanes fits_udp = _mm256_andnot_si256(more(length, bytes), more(length, all(sizeof(lb_udp) - 1)));
  return {_mm256_or_si256(both(is_tcp, fits), both(is_udp, fits_udp)), both(is_tcp, tcp), is_udp};
}

// As lb_flow_first_line(), of four hashes, as pointers.
Lanes first_lines(Lanes hash, const FlowTable& table) noexcept {
  const Lanes low = all(static_cast<uint32_t>(LB_FLOW_FIRST_FACTOR)),
              high = all(static_cast<uint32_t>(LB_FLOW_FIRST_FACTOR >> 32));
  const Lanes crossed =
      _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(hash, 32), low), _mm256_mul_epu32(hash, high));
  const Lanes product = _mm256_add_epi64(_mm256_srli_epi64(_mm256_mul_epu32(hash, low), 32), crossed);
  const Lanes index = _mm256_srli_epi64(_mm256_mul_epu32(product, all(table.count)), 32);
  return _mm256_add_epi64(_mm256_slli_epi64(index, 6),
                          _mm256_set1_epi64x(static_cast<long long>(reinterpret_cast<uintptr_t>(table.lines))));
}

class Reader {
 public:
  Reader(Batch& b, const Lookup& lookup, const FlowTable* flows) noexcept
      : b_(b), lookup_(lookup), flows_(flows), start_(net::detail::init(lookup.hash_key)) {
    std::memset(nothing_, 0, sizeof nothing_);
    std::memcpy(nothing_, b.port_mac.data(), 2);
  }

  // Slots first..first + 7, of which `count` have a packet. RETURNS: those that are usual, bit 0 for the first.
  uint32_t read(Slot first, uint32_t count) noexcept {
    alignas(16) uint16_t length[kLanes];
    std::memcpy(length, &b_.length[first], sizeof length);
    for (uint32_t k = count; k < kLanes; k++) length[k] = 0;
    const uint8_t* packet[kLanes];
    uint32_t other_mac = 0;
    for (uint32_t k = 0; k < kLanes; k++) {
      packet[k] = length[k] >= kLeastBytes ? b_.data[first + k] : nothing_;
      other_mac |= load<uint16_t>(packet[k]) ^ static_cast<uint32_t>(lookup_.mac & 0xffff);
    }
    if (other_mac != 0) return 0;
    return judge(first, packet, _mm256_cvtepu16_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(length))));
  }

 private:
  uint32_t judge(Slot first, const uint8_t* const* packet, Lanes frame_length) noexcept;
  uint32_t find_services(Slot first, uint32_t fine, Lanes dst, Lanes port_proto) noexcept;
  void foresee(Slot first, uint32_t usual, uint32_t plain) noexcept;

  Batch& b_;
  const Lookup& lookup_;
  const FlowTable* const flows_;
  const net::detail::Sip4 start_;
  uint8_t nothing_[64];  // what a slot without a packet, or with a short one, looks like
  // What the packet before was sent to: the next one often is, too. Protocol 0 is none.
  uint32_t last_dst_ = 0, last_port_proto_ = 0, last_service_ = 0;
};

uint32_t Reader::judge(Slot first, const uint8_t* const* packet, Lanes frame_length) noexcept {
  const Rows front = transpose(packet, 2), ip = transpose(packet, 18), l4 = transpose(packet, 34);
  const Lanes w0 = front.word[3], w1 = ip.word[0], w2 = ip.word[1], src = ip.word[2], dst = ip.word[3];
  Lanes fine = both(is(front.word[0], static_cast<uint32_t>(lookup_.mac >> 16)),
                    is(_mm256_srli_epi32(front.word[2], 16), __builtin_bswap16(LB_ETH_IPV4)));
  // Version 4, 20 bytes of header; neither MF nor an offset.
  fine = both(fine, both(is(both(w0, all(0xff)), 0x45), is(both(w1, all(0xff3f0000)), 0)));
  const Lanes total = number<2>(w0), room = _mm256_sub_epi32(frame_length, all(sizeof(lb_eth)));
  const Lanes proto = both(_mm256_srli_epi32(w2, 8), all(0xff));
  const L4 read = read_l4(proto, _mm256_sub_epi32(total, all(sizeof(lb_ipv4))), l4.word[1], l4.word[3]);
  fine = both(_mm256_andnot_si256(more(total, room), fine), read.sound);
  fine = both(fine, both(checksum_is_right(w0, w1, w2, src, dst), is_client(src, lookup_)));
  uint32_t slots = bits_of(fine);
  if (slots == 0) return 0;

  const Lanes port_proto = _mm256_or_si256(_mm256_srli_epi32(l4.word[0], 16), _mm256_slli_epi32(proto, 16));
  slots = find_services(first, slots, dst, port_proto);
  Usual& u = b_.usual;
  store_pairs(u.tuple.word[0] + first, src, dst);
  store_pairs(u.tuple.word[1] + first, l4.word[0],
              _mm256_or_si256(proto, all(static_cast<uint32_t>(net::FlowWords4::kLength) << 24)));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(&u.ip_length[first]), halves(total));
  const __m128i tcp = halves(read.tcp);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(&u.tcp[first]), _mm_packus_epi16(tcp, tcp));
  const Lanes begins_or_ends = both(read.tcp, all(LB_TCP_SYN | LB_TCP_RST | LB_TCP_FIN));
  const uint32_t plain = bits_of(is(begins_or_ends, 0));
  u.plain |= static_cast<uint64_t>(plain) << first;
  u.udp |= static_cast<uint64_t>(bits_of(read.is_udp)) << first;
  net::hash_eight(start_, u.tuple, first, u.hash.data());
  if (flows_ != nullptr) foresee(first, slots, plain);
  return slots;
}

// The lines come in while the next packets are judged. A packet that begins a flow will need its second one, too.
void Reader::foresee(Slot first, uint32_t usual, uint32_t plain) noexcept {
  Usual& u = b_.usual;
  for (Slot i = first; i < first + kLanes; i += 4) {
    const Lanes hash = _mm256_load_si256(reinterpret_cast<const Lanes*>(&u.hash[i]));
    _mm256_store_si256(reinterpret_cast<Lanes*>(&u.line[i]), first_lines(hash, *flows_));
  }
  for (uint32_t k = 0; k < kLanes; k++) __builtin_prefetch(u.line[first + k], 0, 2);
  for (const uint32_t k : Bits(usual & ~plain))
    __builtin_prefetch(&flows_->lines[lb_flow_second_line(u.hash[first + k], flows_->count)], 0, 2);
}

uint32_t Reader::find_services(Slot first, uint32_t fine, Lanes dst, Lanes port_proto) noexcept {
  const uint32_t same = bits_of(both(is(dst, last_dst_), is(port_proto, last_port_proto_)));
  _mm256_storeu_si256(reinterpret_cast<Lanes*>(&b_.usual.service[first]), all(last_service_));
  if ((fine & ~same) == 0) [[likely]]
    return fine;
  alignas(32) uint32_t to[kLanes], port[kLanes];
  _mm256_store_si256(reinterpret_cast<Lanes*>(to), dst);
  _mm256_store_si256(reinterpret_cast<Lanes*>(port), port_proto);
  for (const uint32_t k : Bits(fine)) {
    if (to[k] != last_dst_ || port[k] != last_port_proto_) {
      const lb_listener_slot* slot = lookup_.find(mapped(to[k]), port[k]);
      if (slot == nullptr) {
        fine &= ~(1u << k);
        continue;
      }
      last_dst_ = to[k];
      last_port_proto_ = port[k];
      last_service_ = slot->service;
    }
    b_.usual.service[first + k] = last_service_;
  }
  return fine;
}

}  // namespace

void recognise_usual(Batch& b, const Lookup& lookup, const FlowTable* flows) noexcept {
  Usual& u = b.usual;
  u.slots = u.plain = u.udp = 0;
  // The first slots are live and no other ones: nothing has happened to the batch.
  const auto n = static_cast<uint32_t>(__builtin_popcountll(b.live));
  Reader reader(b, lookup, flows);
  uint64_t usual = 0;
  for (Slot first = 0; first < n; first += kLanes)
    usual |= static_cast<uint64_t>(reader.read(first, n - first < kLanes ? n - first : kLanes)) << first;
  u.slots = u.bare = usual;
}
#else
void recognise_usual(Batch& b, const Lookup&, const FlowTable*) noexcept {
  b.usual.slots = b.usual.plain = b.usual.udp = 0;
}
#endif

}  // namespace lb::stages
