// Frames for the property tests: valid packets to the world edge(), what may be done to them, and a batch whose frames
// lie in heap buffers of exactly their size.
#pragma once

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "dataplane/stages/batch.h"
#include "tests/conformance/conformance.h"
#include "tests/packet/builder.h"

namespace lb::property {

using Random = std::mt19937_64;

inline uint64_t pick(Random& r, uint64_t below) {
  return std::uniform_int_distribution<uint64_t>(0, below - 1)(r);
}

// The frames that conformance cases send, of every verdict: where mutations start.
inline std::vector<packet::Bytes> seeds(stages::Verdict only) {
  std::vector<packet::Bytes> all;
  for (const conformance::Case& c : conformance::all_cases())
    if (c.world == &conformance::edge() && c.headroom == conformance::kHeadroom)
      for (const conformance::Step& s : c.steps)
        if (only == stages::Verdict::kNone || s.expect.verdict == only) all.push_back(s.in.bytes());
  return all;
}

// The same, one list for each verdict and drop reason that a case expects.
inline std::vector<std::vector<packet::Bytes>> seeds_by_fate() {
  std::map<std::pair<stages::Verdict, stages::Drop>, std::vector<packet::Bytes>> by_fate;
  for (const conformance::Case& c : conformance::all_cases())
    if (c.world == &conformance::edge())
      for (const conformance::Step& s : c.steps) by_fate[{s.expect.verdict, s.expect.reason}].push_back(s.in.bytes());
  std::vector<std::vector<packet::Bytes>> all;
  for (auto& [fate, frames] : by_fate) all.push_back(std::move(frames));
  return all;
}

// Writes the right checksum into what looks like an IPv4 header at `at`, so that faults behind it are reached.
inline void repair_ipv4(packet::Bytes& f, size_t at) {
  if (f.size() < at + 20 || f[at] >> 4 != 4) return;
  const size_t bytes = (f[at] & 15u) * 4u;
  if (bytes < 20 || f.size() < at + bytes) return;
  f[at + 10] = f[at + 11] = 0;
  const uint16_t sum = packet::checksum(std::span(f).subspan(at, bytes));
  f[at + 10] = static_cast<uint8_t>(sum >> 8);
  f[at + 11] = static_cast<uint8_t>(sum);
}

// One to four faults: bits, bytes of the headers, cuts, growth, a tag more, another of our addresses.
inline packet::Bytes mutate(packet::Bytes f, Random& r) {
  for (uint64_t faults = 1 + pick(r, 4); faults > 0 && !f.empty(); faults--) {
    const size_t header = std::min<size_t>(f.size(), 14 + 60);
    switch (pick(r, 8)) {
      case 0:
        f[pick(r, f.size())] ^= static_cast<uint8_t>(1u << pick(r, 8));
        break;
      case 1:
        f[14 < header ? 14 + pick(r, header - 14) : 0] = static_cast<uint8_t>(r());
        break;
      case 2:
        f.resize(pick(r, f.size() + 1));
        break;
      case 3:
        f.resize(f.size() + pick(r, 64), 0xaa);
        break;
      case 4: {  // a boundary value in a header byte
        constexpr uint8_t kEdges[] = {0, 1, 2, 4, 6, 17, 43, 44, 51, 58, 60, 64, 0x45, 0x7f, 0x80, 0xff};
        f[14 < header ? 14 + pick(r, header - 14) : 0] = kEdges[pick(r, std::size(kEdges))];
        break;
      }
      case 5:
        if (f.size() >= 14) f.insert(f.begin() + 12, {0x81, 0x00, 0x00, static_cast<uint8_t>(r())});
        break;
      default:
        f[f.size() > 12 ? 12 + pick(r, f.size() - 12) : 0] = static_cast<uint8_t>(r());
        break;
    }
  }
  if (pick(r, 4) != 0) repair_ipv4(f, 14);
  return f;
}

class Frames {
 public:
  Frames(const std::vector<packet::Bytes>& frames, bool kernel_copy, uint16_t headroom)
      : batch(std::make_unique<stages::Batch>()) {
    const packet::Bytes mac = packet::mac_bytes(packet::kPortMac);
    std::copy(mac.begin(), mac.end(), batch->port_mac.begin());
    batch->kernel_copy = kernel_copy;
    for (size_t i = 0; i < frames.size(); i++) {
      buffers_.push_back(std::make_unique<uint8_t[]>(headroom + frames[i].size()));
      if (!frames[i].empty()) std::memcpy(buffers_[i].get() + headroom, frames[i].data(), frames[i].size());
      batch->data[i] = buffers_[i].get() + headroom;
      batch->length[i] = static_cast<uint16_t>(frames[i].size());
      batch->headroom[i] = headroom;
      bytes += frames[i].size();
    }
    batch->start(static_cast<uint32_t>(frames.size()));
  }
  packet::Bytes frame(size_t i) const { return {batch->data[i], batch->data[i] + batch->length[i]}; }
  // The whole buffer from where the frame came in: what a drop or punt must not have moved.
  bool inside(size_t i, uint16_t headroom, size_t size) const {
    return batch->data[i] >= buffers_[i].get() &&
           batch->data[i] + batch->length[i] <= buffers_[i].get() + headroom + size;
  }

  std::unique_ptr<stages::Batch> batch;
  uint64_t bytes = 0;

 private:
  std::vector<std::unique_ptr<uint8_t[]>> buffers_;
};

}  // namespace lb::property
