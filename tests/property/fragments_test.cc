// Datagrams cut at random, their fragments in random order and mixed with each other, some of them twice: each byte
// goes exactly once to the backend of the unfragmented packet; and whatever is thrown at Fragments, the counters add up
// and its bounds hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/property/frames.h"
#include "tests/unit/stages/fragment_world.h"

namespace lb::property {
namespace {

using packet::Bytes;
using stages::Fate;
using stages::FragmentWorld;
using stages::Verdict;

constexpr uint64_t kSeed = 21;

std::vector<size_t> random_cuts(size_t units, Random& r) {
  std::set<size_t> offsets = {0};
  for (uint64_t n = 1 + pick(r, 12); n > 0; n--) offsets.insert(1 + pick(r, units - 1));
  return {offsets.begin(), offsets.end()};
}

struct Sent {
  Bytes frame;
  uint32_t id;
};

// What of it left: its payload, found again behind the outer header.
Bytes payload_of(const Bytes& frame) {
  const size_t ip = 14 + 20, header = frame[ip] >> 4 == 4 ? 20 : 48;
  return {frame.begin() + static_cast<ptrdiff_t>(ip + header), frame.end()};
}
Bytes sent_payload_of(const Bytes& frame) {
  return {frame.begin() + (frame[12] == 0x08 ? 34 : 62), frame.end()};
}

class Model {
 public:
  void expect(uint32_t id, uint16_t backend) { backend_[id] = backend; }
  void sent(const Sent& s) { wanted_[sent_payload_of(s.frame)] = s.id; }
  void left(const std::vector<Fate>& fates) {
    for (const Fate& fate : fates) {
      if (fate.verdict != Verdict::kForward) continue;
      const Bytes payload = payload_of(fate.frame);
      ASSERT_EQ(1u, wanted_.count(payload)) << "twice, or never sent";
      ASSERT_EQ(backend_[wanted_[payload]], fate.backend);
      wanted_.erase(payload);
    }
  }
  size_t missing() const { return wanted_.size(); }

 private:
  std::map<uint32_t, uint16_t> backend_;
  std::map<Bytes, uint32_t> wanted_;  // payload -> datagram
};

// A datagram whose bytes no other has.
Bytes unique_datagram(bool ipv6, uint16_t sport, size_t size, Random& r) {
  Bytes whole = stages::datagram(ipv6, sport, size);
  for (size_t at = whole.size() - size; at < whole.size(); at++) whole[at] = static_cast<uint8_t>(r());
  return whole;
}

TEST(Fragments, EveryOneGoesOnceToTheBackendOfTheWholePacket) {
  Random r(kSeed);
  FragmentWorld w({.datagrams = 1024, .held = 512, .held_bytes = 2048, .held_each = 64});
  for (int round = 0; round < 300; round++) {
    Model model;
    std::vector<Sent> sent;
    for (uint32_t n = 0; n < 8; n++) {
      const auto id = static_cast<uint32_t>(round * 8) + n;
      const Bytes whole =
          unique_datagram(pick(r, 2) == 0, static_cast<uint16_t>(1024 + pick(r, 60'000)), 64 + pick(r, 1800), r);
      model.expect(id, w.backend_of(whole));
      for (const Bytes& f : packet::cut_at(whole, random_cuts(packet::units_of(whole), r), id)) sent.push_back({f, id});
    }
    for (const Sent& s : sent) model.sent(s);
    std::shuffle(sent.begin(), sent.end(), r);
    for (size_t at = 0; at < sent.size();) {
      const size_t n = std::min(sent.size() - at, 1 + pick(r, 20));
      std::vector<Bytes> batch;
      for (size_t k = 0; k < n; k++) batch.push_back(sent[at + k].frame);
      at += n;
      ASSERT_NO_FATAL_FAILURE(model.left(w.run(batch)));
      ASSERT_NO_FATAL_FAILURE(model.left(w.woken()));
      ASSERT_TRUE(w.adds_up());
    }
    ASSERT_EQ(0u, model.missing()) << "round " << round;
    ASSERT_EQ(0u, w.fragments.held());
    w.pass(pick(r, 5));
  }
}

// Each fragment comes again while its datagram is not complete: that is nobody's loss.
TEST(Fragments, DuplicatesChangeNothing) {
  Random r(kSeed);
  FragmentWorld w;
  for (uint32_t id = 0; id < 500; id++) {
    Model model;
    const Bytes whole = unique_datagram(id % 2 == 0, static_cast<uint16_t>(1024 + id), 200 + pick(r, 1500), r);
    model.expect(id, w.backend_of(whole));
    auto frames = packet::cut_at(whole, random_cuts(packet::units_of(whole), r), id);
    for (const Bytes& f : frames) model.sent({f, id});
    std::shuffle(frames.begin(), frames.end(), r);
    for (size_t k = 0; k < frames.size(); k++) {
      ASSERT_NO_FATAL_FAILURE(model.left(w.run({frames[k]})));
      ASSERT_NO_FATAL_FAILURE(model.left(w.woken()));
      if (k + 1 == frames.size()) break;  // complete, and forgotten
      ASSERT_EQ(LB_DROP_FragmentOverlap, w.run_one(frames[pick(r, k + 1)]).reason);
      ASSERT_FALSE(w.fragments.has_woken());
    }
    ASSERT_EQ(0u, model.missing()) << id;
  }
  EXPECT_TRUE(w.adds_up());
}

// Small tables, cuts of the same datagrams that contradict each other, time that passes: no byte is ever forwarded that
// contradicts another one of the same datagram while that is remembered.
TEST(Fragments, KeepTheirBoundsWhateverComes) {
  Random r(kSeed);
  const stages::FragmentOptions small{.datagrams = 16, .held = 8, .held_bytes = 600, .held_each = 3};
  FragmentWorld w(small);
  std::vector<Bytes> wholes;
  for (uint16_t n = 0; n < 12; n++) wholes.push_back(unique_datagram(n % 2 == 0, n, 100 + pick(r, 1200), r));
  uint64_t held_most = 0;
  for (int round = 0; round < 20'000; round++) {
    const size_t which = pick(r, wholes.size());
    const auto frames = packet::cut_at(wholes[which], random_cuts(packet::units_of(wholes[which]), r),
                                       static_cast<uint32_t>(which + 12 * pick(r, 4)));
    std::vector<Bytes> batch;
    for (uint64_t n = 1 + pick(r, 6); n > 0; n--) batch.push_back(frames[pick(r, frames.size())]);
    (void)w.run(batch);
    held_most = std::max<uint64_t>(held_most, w.fragments.held());
    ASSERT_LE(w.fragments.held(), small.held);
    ASSERT_TRUE(w.adds_up());
    (void)w.woken();
    ASSERT_TRUE(w.adds_up());
    if (pick(r, 8) == 0) w.pass(pick(r, 700));
  }
  EXPECT_EQ(small.held, held_most);
  w.pass(10'000);
  EXPECT_EQ(0u, w.fragments.held());
  EXPECT_TRUE(w.adds_up());
  for (const uint32_t c : {LB_DROP_FragmentOverlap, LB_DROP_FragmentUnmatched, LB_DROP_FragmentFull})
    EXPECT_GT(w.count(c), 100u) << c;
}

}  // namespace
}  // namespace lb::property
