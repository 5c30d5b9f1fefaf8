#include "dataplane/stages/fragments.h"

#include <gtest/gtest.h>

#include "tests/unit/stages/fragment_world.h"

namespace lb::stages {
namespace {

using packet::Bytes;

class InFamily : public testing::TestWithParam<bool> {
 protected:
  std::vector<Bytes> pieces(uint32_t id, uint16_t sport = 4000, size_t bytes = 8000) {
    return packet::cut_every(datagram(GetParam(), sport, bytes), 180, id);
  }
  FragmentWorld w_;
};
INSTANTIATE_TEST_SUITE_P(Families, InFamily, testing::Bool());

void expect_drop(const Fate& fate, Drop why) {
  EXPECT_EQ(Verdict::kDrop, fate.verdict);
  EXPECT_EQ(why, fate.reason);
}

TEST_P(InFamily, FollowTheirFirstOneToTheBackendOfTheWholePacket) {
  for (uint16_t sport = 4000; sport < 4040; sport++) {
    const auto frames = pieces(sport, sport);
    ASSERT_EQ(6u, frames.size());
    const uint16_t backend = w_.backend_of(datagram(GetParam(), sport, 8000));
    for (const Fate& fate : w_.run(frames)) {
      EXPECT_EQ(Verdict::kForward, fate.verdict);
      EXPECT_EQ(backend, fate.backend);
    }
  }
  EXPECT_TRUE(w_.adds_up());
  EXPECT_EQ(0u, w_.count(LB_COUNT_FragmentsHeld));
}

TEST_P(InFamily, WaitForTheirFirstOneAndLeaveInOrder) {
  const auto frames = pieces(7);
  for (size_t k = frames.size() - 1; k > 0; k--) {
    EXPECT_EQ(Verdict::kHold, w_.run_one(frames[k]).verdict);
    EXPECT_TRUE(w_.adds_up());
  }
  EXPECT_EQ(5u, w_.count(LB_COUNT_Held));
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[0]).verdict);
  EXPECT_EQ(3u, w_.fragments.woken_ingress());
  const auto woken = w_.woken();
  ASSERT_EQ(5u, woken.size());
  for (size_t k = 0; k < woken.size(); k++) {
    EXPECT_EQ(Verdict::kForward, woken[k].verdict);
    const Bytes& in = frames[frames.size() - 1 - k];
    EXPECT_EQ(Bytes(in.end() - 100, in.end()), Bytes(woken[k].frame.end() - 100, woken[k].frame.end()));
  }
  EXPECT_EQ(0u, w_.count(LB_COUNT_Held));
  EXPECT_EQ(5u, w_.count(LB_COUNT_FragmentsHeld));
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, AreFoundInTheSameBatchWhateverTheirOrder) {
  auto frames = pieces(7);
  std::swap(frames[0], frames[3]);
  const auto fates = w_.run(frames);
  for (size_t k = 0; k < frames.size(); k++) EXPECT_EQ(k < 3 ? Verdict::kHold : Verdict::kForward, fates[k].verdict);
  EXPECT_EQ(3u, w_.woken().size());
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, ThatOverlapEndTheDatagram) {
  const auto whole = datagram(GetParam(), 4000, 8000);
  const auto a = packet::cut_at(whole, {0, 100, 300, 500}, 7), b = packet::cut_at(whole, {0, 200, 400, 450}, 7);
  EXPECT_EQ(Verdict::kHold, w_.run_one(a[2]).verdict);
  expect_drop(w_.run_one(b[1]), LB_DROP_FragmentOverlap);  // 200 to 400 over 300 to 500
  EXPECT_EQ(0u, w_.count(LB_COUNT_Held));
  EXPECT_EQ(2u, w_.count(LB_DROP_FragmentOverlap));
  for (const Bytes& f : {a[0], a[1], a[3]}) expect_drop(w_.run_one(f), LB_DROP_FragmentOverlap);
  EXPECT_TRUE(w_.adds_up());
  w_.pass(Fragments::kDatagramMs);  // measured from the last one that fitted
  for (const Fate& fate : w_.run(a)) EXPECT_EQ(Verdict::kForward, fate.verdict);
}

TEST_P(InFamily, ThatCameAlreadyAreDroppedAndTheDatagramGoesOn) {
  const auto frames = pieces(7);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[0]).verdict);
  expect_drop(w_.run_one(frames[0]), LB_DROP_FragmentOverlap);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[1]).verdict);
  expect_drop(w_.run_one(frames[1]), LB_DROP_FragmentOverlap);
  for (size_t k = 2; k < frames.size(); k++) EXPECT_EQ(Verdict::kForward, w_.run_one(frames[k]).verdict);
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, BehindTheEndAreAnOverlap) {
  const auto longer = pieces(7), shorter = pieces(7, 4000, 4000);
  EXPECT_EQ(Verdict::kForward, w_.run_one(shorter[0]).verdict);
  EXPECT_EQ(Verdict::kForward, w_.run_one(shorter.back()).verdict);
  expect_drop(w_.run_one(longer[4]), LB_DROP_FragmentOverlap);
  expect_drop(w_.run_one(shorter[1]), LB_DROP_FragmentOverlap);

  const auto other = pieces(8), cut = pieces(8, 4000, 4000);  // the end told after what lies behind it
  EXPECT_EQ(Verdict::kForward, w_.run_one(other[0]).verdict);
  EXPECT_EQ(Verdict::kForward, w_.run_one(other[4]).verdict);
  expect_drop(w_.run_one(cut.back()), LB_DROP_FragmentOverlap);
}

TEST_P(InFamily, OfACompleteDatagramLeaveNothingBehind) {
  const auto frames = pieces(7);
  for (int times = 0; times < 3; times++)  // the same id again, at once
    for (const Fate& fate : w_.run(frames)) EXPECT_EQ(Verdict::kForward, fate.verdict);
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[1]).verdict);
}

TEST_P(InFamily, WhoseFirstOneDoesNotComeAreDropped) {
  const auto frames = pieces(7);
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[1]).verdict);
  w_.pass(Fragments::kHeldMs - 1);
  EXPECT_EQ(1u, w_.count(LB_COUNT_Held));
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[2]).verdict);
  w_.pass(1);
  EXPECT_EQ(1u, w_.count(LB_DROP_FragmentUnmatched));
  EXPECT_EQ(1u, w_.count(LB_COUNT_Held));
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[0]).verdict);
  EXPECT_EQ(1u, w_.woken().size());
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, OfAForgottenDatagramDoNotFindItsPorts) {
  const auto frames = pieces(7);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[0]).verdict);
  w_.pass(Fragments::kDatagramMs - 1);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[1]).verdict);
  w_.pass(Fragments::kDatagramMs);
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[2]).verdict);
}

TEST_P(InFamily, InAFloodTheOldestGiveWayAndInnocentOnesGoOn) {
  constexpr uint32_t kBound = 512;
  uint32_t id = 1'000'000, innocent = 0;
  for (uint32_t round = 0; round < 10 * kBound / 32; round++) {
    std::vector<Bytes> flood;
    for (uint32_t k = 0; k < 32; k++)
      flood.push_back(packet::cut_every(datagram(GetParam(), 666, 400), 25, id++ & 0xffff)[1]);
    const auto frames = pieces(round, static_cast<uint16_t>(1024 + round));
    for (const size_t k : {3u, 1u}) EXPECT_EQ(Verdict::kHold, w_.run_one(frames[k]).verdict);
    (void)w_.run(flood);
    for (const size_t k : {0u, 2u, 4u, 5u}) innocent += w_.run_one(frames[k]).verdict == Verdict::kForward;
    for (const Fate& fate : w_.woken()) innocent += fate.verdict == Verdict::kForward;
  }
  EXPECT_EQ(6 * 10 * kBound / 32, innocent);
  EXPECT_LE(w_.count(LB_COUNT_Held), kBound);
  EXPECT_GT(w_.count(LB_DROP_FragmentUnmatched), 8 * kBound);
  EXPECT_EQ(0u, w_.count(LB_DROP_FragmentFull));
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, OfAFloodOfFirstOnesPushOutOldDatagramsOnly) {
  for (uint32_t id = 0; id < 10'240; id++)
    EXPECT_EQ(Verdict::kForward, w_.run_one(packet::cut_every(datagram(GetParam(), 666, 400), 25, id)[0]).verdict);
  EXPECT_EQ(Verdict::kHold, w_.run_one(packet::cut_every(datagram(GetParam(), 666, 400), 25, 1)[1]).verdict);
  EXPECT_EQ(Verdict::kForward, w_.run_one(packet::cut_every(datagram(GetParam(), 666, 400), 25, 10'239)[1]).verdict);
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, HaveOnlySoMuchRoom) {
  const auto many = packet::cut_every(datagram(GetParam(), 4000, 8000), 10, 7);
  uint32_t held = 0, full = 0;
  for (size_t k = 1; k < 81; k++) {
    const Fate fate = w_.run_one(many[k]);
    held += fate.verdict == Verdict::kHold;
    full += fate.verdict == Verdict::kDrop && fate.reason == LB_DROP_FragmentFull;
  }
  EXPECT_EQ(64u, held);
  EXPECT_EQ(16u, full);
  const auto large = packet::cut_every(datagram(GetParam(), 4000, 8000), 300, 8);
  expect_drop(w_.run_one(large[1]), LB_DROP_FragmentFull);
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, ThatFindNoBufferAreDropped) {
  const auto frames = pieces(7);
  for (size_t k = 1; k < 4; k++) EXPECT_EQ(Verdict::kHold, w_.run_one(frames[k]).verdict);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[0]).verdict);
  Frames f({});
  EXPECT_EQ(0u, w_.fragments.release(f.batch, [](Slot, uint16_t) -> uint8_t* { return nullptr; }));
  EXPECT_FALSE(w_.fragments.has_woken());
  EXPECT_EQ(3u, w_.count(LB_DROP_FragmentFull));
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, OfAnAddressWithoutListenerAreAsTheWholePacketIs) {
  packet::Packet p = packet::eth();
  if (GetParam())
    p.ip6(kClient6, kVip6);
  else
    p.ip4(kClient4, kVip4, {.df = false});
  const auto frames = packet::cut_every(p.udp(4000, 9).payload_size(4000).bytes(), 180, 7);
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[1]).verdict);
  expect_drop(w_.run_one(frames[0]), LB_DROP_NoListener);
  expect_drop(w_.run_one(frames[2]), LB_DROP_NoListener);
  for (const Fate& fate : w_.woken()) expect_drop(fate, LB_DROP_NoListener);
  EXPECT_TRUE(w_.adds_up());
}

// Another worker, which got the first fragment.
TEST_P(InFamily, FindTheirFirstOneWithAnotherWorker) {
  FragmentWorld other;
  const Datagrams* const others[] = {&other.fragments.datagrams()};
  w_.fragments.set_others(others);
  w_.pass(1);
  const auto frames = pieces(7);
  EXPECT_EQ(Verdict::kHold, w_.run_one(frames[1]).verdict) << "it has not come there either";
  EXPECT_EQ(Verdict::kForward, other.run_one(frames[0]).verdict);
  EXPECT_EQ(Verdict::kForward, w_.run_one(frames[2]).verdict);
  EXPECT_EQ(1u, w_.woken().size());

  const auto later = pieces(8);
  EXPECT_EQ(Verdict::kHold, w_.run_one(later[1]).verdict);
  EXPECT_EQ(Verdict::kForward, other.run_one(later[0]).verdict);
  EXPECT_FALSE(w_.fragments.has_woken());
  w_.pass(1);
  EXPECT_EQ(1u, w_.woken().size());
  EXPECT_TRUE(w_.adds_up());
}

TEST_P(InFamily, KeepTheTcpFlagsOfTheirFirstOne) {
  packet::Packet p = packet::eth();
  if (GetParam())
    p.ip6(kClient6, kVip6);
  else
    p.ip4(kClient4, kVip4, {.df = false});
  const auto frames = packet::cut_every(p.tcp(4000, 53, {.flags = 0x11}).payload_size(400).bytes(), 25, 7);
  Frames f(frames);
  run(f.batch, w_.snapshot.get(), {.flows = nullptr, .fragments = &w_.fragments, .answers = nullptr});
  for (Slot i = 0; i < frames.size(); i++) EXPECT_EQ(0x11 | kTcpPayload, f.batch.meta[i].tcp);
}

TEST(Fragments, OfDifferentDatagramsAreNotMixed) {
  FragmentWorld w;
  const auto frames = packet::cut_every(datagram(false, 4000, 4000), 180, 7);
  EXPECT_EQ(Verdict::kForward, w.run_one(frames[0]).verdict);
  const auto other = [&](const packet::Ip4& o, std::string_view src = kClient4, uint16_t vlan = 0) {
    packet::Packet p = packet::eth();
    if (vlan != 0) p.vlan(vlan);
    packet::Ip4 all = o;
    all.df = false;
    all.mf = true;
    all.offset = 180;
    return p.ip4(src, kVip4, all).payload_size(1440).bytes();
  };
  EXPECT_EQ(Verdict::kHold, w.run_one(other({.id = 8, .proto = 17})).verdict);
  EXPECT_EQ(Verdict::kHold, w.run_one(other({.id = 7, .proto = 6})).verdict);
  EXPECT_EQ(Verdict::kHold, w.run_one(other({.id = 7, .proto = 17}, "198.51.100.8")).verdict);
  EXPECT_EQ(Verdict::kHold, w.run_one(other({.id = 7, .proto = 17}, kClient4, 5)).verdict);
  EXPECT_EQ(Verdict::kForward, w.run_one(other({.id = 7, .proto = 17})).verdict);
}

TEST(Fragments, WhatAFormerProcessHeldIsLost) {
  uint64_t counters[LB_COUNT_MAX] = {};
  counters[LB_COUNT_Held] = 9;
  const Fragments fragments(counters);
  EXPECT_EQ(0u, counters[LB_COUNT_Held]);
  EXPECT_EQ(9u, counters[LB_DROP_FragmentUnmatched]);
}

}  // namespace
}  // namespace lb::stages
