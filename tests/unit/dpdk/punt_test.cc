// Punted packets into rings by class: which class a frame is of, and what a full ring costs.
#include "dataplane/dpdk/punt.h"

#include <gtest/gtest.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include "dataplane/dpdk/dispatch_rings.h"
#include "tests/unit/dpdk/engine_world.h"

namespace lb::dpdk {
namespace {

using packet::Bytes;
using packet::eth;
using packet::Ip4;
using packet::Ip6;
using packet::Packet;
using testing::must;
using testing::test_eal;

PuntClass class_of(const Bytes& frame) {
  const Bytes exact(frame);  // what is read behind its end shows under ASan
  return punt_class(exact.data(), static_cast<uint32_t>(exact.size()));
}
PuntClass class_of(const Packet& packet) {
  return class_of(packet.bytes());
}
Packet ip4(const Ip4& o = {}) {
  return eth().ip4("198.51.100.7", "203.0.113.1", o);
}
Packet ip6(const Ip6& o = {}) {
  return eth().ip6("2001:db8::7", "2001:db8::1", o);
}
Bytes ether(const char* to, uint16_t type, size_t payload = 46) {
  Bytes frame = packet::mac_bytes(to);
  const Bytes from = packet::mac_bytes(packet::kRouterMac);
  frame.insert(frame.end(), from.begin(), from.end());
  frame.push_back(static_cast<uint8_t>(type >> 8));
  frame.push_back(static_cast<uint8_t>(type));
  frame.resize(frame.size() + payload);
  return frame;
}

TEST(PuntClassOf, WhatOnlyNeighboursSend) {
  EXPECT_EQ(class_of(ether("ff:ff:ff:ff:ff:ff", 0x0806)), PuntClass::kLink);
  EXPECT_EQ(class_of(ether("01:80:c2:00:00:02", 0x8809)), PuntClass::kLink);
  EXPECT_EQ(class_of(ether("01:80:c2:00:00:0e", 0x88cc)), PuntClass::kLink);
  EXPECT_EQ(class_of(ether("01:80:c2:00:00:00", 38)), PuntClass::kLink) << "spanning tree, by LLC";
  for (uint8_t type = 133; type <= 137; type++)
    EXPECT_EQ(class_of(ip6({.hop_limit = 255}).icmp6(type)), PuntClass::kLink) << int{type};
  EXPECT_EQ(class_of(ip6({.hop_limit = 1}).extension(0).icmp6(143)), PuntClass::kLink) << "MLDv2";
  EXPECT_EQ(class_of(ip4({.ttl = 255}).udp(49152, 3784)), PuntClass::kLink);
  EXPECT_EQ(class_of(ip6({.hop_limit = 255}).udp(49152, 3784)), PuntClass::kLink);
}

TEST(PuntClassOf, TagsAreReadOver) {
  EXPECT_EQ(class_of(eth().vlan(5).ip4("198.51.100.7", "203.0.113.1").tcp(40000, 179)), PuntClass::kRouting);
  EXPECT_EQ(class_of(eth().vlan(5, 0x88a8).vlan(6).ip6("fe80::1", "ff02::1", {.hop_limit = 255}).icmp6(135)),
            PuntClass::kLink);
}

TEST(PuntClassOf, WhatFromAfarPretendsToBeFromTheLink) {
  EXPECT_EQ(class_of(ip6({.hop_limit = 64}).icmp6(135)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip6({.hop_limit = 64}).extension(0).icmp6(143)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip4({.ttl = 254}).udp(49152, 3784)), PuntClass::kRouting);
}

TEST(PuntClassOf, RoutingProtocols) {
  EXPECT_EQ(class_of(ip4().tcp(40000, 179)), PuntClass::kRouting);
  EXPECT_EQ(class_of(ip4().tcp(179, 40000)), PuntClass::kRouting);
  EXPECT_EQ(class_of(ip6().tcp(40000, 179)), PuntClass::kRouting);
  EXPECT_EQ(class_of(ip4({.options = Bytes(8)}).tcp(40000, 179)), PuntClass::kRouting);
  EXPECT_EQ(class_of(ip4().udp(49152, 4784)), PuntClass::kRouting);
  for (const uint8_t proto : {uint8_t{89}, uint8_t{112}}) {
    EXPECT_EQ(class_of(ip4({.proto = proto}).payload_size(24)), PuntClass::kRouting) << int{proto};
    EXPECT_EQ(class_of(ip6({.next = proto}).payload_size(24)), PuntClass::kRouting) << int{proto};
  }
}

TEST(PuntClassOf, EverythingElse) {
  EXPECT_EQ(class_of(ip4().tcp(40000, 22)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip4().udp(179, 53)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip4().udp(3784, 53)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip4().icmp(8)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip6().icmp6(128)), PuntClass::kOther);
  EXPECT_EQ(class_of(ip4({.df = false, .offset = 5}).tcp(40000, 179)), PuntClass::kOther) << "no header is there";
  EXPECT_EQ(class_of(ether("02:00:00:00:00:01", 0x1234)), PuntClass::kOther);
}

TEST(PuntClassOf, FramesCutAnywhere) {
  for (const Packet& whole : {ip4({.options = Bytes(8)}).tcp(40000, 179), ip6({.hop_limit = 255}).icmp6(135),
                              ip6({.hop_limit = 1}).extension(0).icmp6(143),
                              eth().vlan(5).vlan(6).ip4("10.0.0.1", "10.0.0.2").udp(1, 3784)}) {
    const Bytes frame = whole.bytes();
    for (size_t n = 0; n <= frame.size(); n++)
      (void)class_of(Bytes(frame.begin(), frame.begin() + static_cast<long>(n)));
  }
}

// Rings that hold three packets each.
class HandUp : public ::testing::Test {
 protected:
  HandUp() : buffers_(must(Buffers::create(unique("punt_pool"), 511, kBufferRoom))) {
    for (size_t c = 0; c < kPuntClasses; c++) {
      rings_[c] = must(make_punt_ring(4));
      punts_.ring[c] = rings_[c].get();
    }
  }
  static std::string unique(const std::string& name) {
    static int number = 0;
    return name + std::to_string(number++);
  }
  uint32_t waiting(PuntClass c) const { return rte_ring_count(rings_[static_cast<size_t>(c)].get()); }
  // RETURNS: what hand_up() does.
  uint64_t hand_up(const std::vector<Bytes>& frames) {
    const auto n = static_cast<uint32_t>(frames.size());
    for (uint32_t i = 0; i < n; i++) {
      burst_[i] = rte_pktmbuf_alloc(buffers_.pool());
      std::memcpy(rte_pktmbuf_append(burst_[i], static_cast<uint16_t>(frames[i].size())), frames[i].data(),
                  frames[i].size());
      batch_->data[i] = rte_pktmbuf_mtod(burst_[i], uint8_t*);
      batch_->length[i] = burst_[i]->data_len;
    }
    batch_->start(n);
    batch_->exception_path = true;
    for (uint32_t i = 0; i < n; i++) i % 2 == 0 ? batch_->punt(i) : batch_->punt_owned(i);
    const uint64_t taken = dpdk::hand_up(punts_, burst_, n, *batch_);
    for (uint32_t i = 0; i < n; i++)
      if ((taken >> i & 1) == 0) rte_pktmbuf_free(burst_[i]);
    return taken;
  }

  Eal& eal_ = test_eal();
  Buffers buffers_;
  std::array<Ring, kPuntClasses> rings_;
  PuntRings punts_;
  Burst burst_{};
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
};

TEST_F(HandUp, PutsEachClassIntoItsRing) {
  const uint64_t taken = hand_up({ether("ff:ff:ff:ff:ff:ff", 0x0806), ip4().tcp(40000, 179).bytes(),
                                  ip4().udp(1, 2).bytes(), ip4().udp(1, 3).bytes()});
  EXPECT_EQ(taken, 0b1111u);
  EXPECT_EQ(waiting(PuntClass::kLink), 1u);
  EXPECT_EQ(waiting(PuntClass::kRouting), 1u);
  EXPECT_EQ(waiting(PuntClass::kOther), 2u);
  for (uint32_t i = 0; i < 4; i++) EXPECT_EQ(batch_->verdict[i], stages::Verdict::kPunt);
}

TEST_F(HandUp, AFullRingDropsItsClassAndNoOther) {
  std::vector<Bytes> frames(5, ip4().udp(1, 2).bytes());
  frames.push_back(ether("ff:ff:ff:ff:ff:ff", 0x0806));
  frames.push_back(ip4().tcp(40000, 179).bytes());
  EXPECT_EQ(hand_up(frames), 0b1100111u);
  for (const uint32_t full : {3u, 4u}) {
    EXPECT_EQ(batch_->verdict[full], stages::Verdict::kDrop);
    EXPECT_EQ(batch_->reason[full], LB_DROP_ExceptionFull);
  }
  EXPECT_EQ(waiting(PuntClass::kLink), 1u);
  EXPECT_EQ(waiting(PuntClass::kRouting), 1u);
}

// As a worker that takes its place in the ring and is interrupted before it puts something there; the rest of the ring
// is then full by others, none of whom waits.
TEST(PuntRing, AnInterruptedWorkerHoldsUpNoOther) {
  (void)test_eal();
  const Ring ring = must(make_punt_ring(256));
  int packet = 0;
  uint32_t head = 0, free = 0;
  ASSERT_EQ(__rte_ring_rts_move_prod_head(ring.get(), 1, RTE_RING_QUEUE_FIXED, &head, &free), 1u);
  uint32_t put = 0;
  while (rte_ring_enqueue(ring.get(), &packet) == 0) put++;
  EXPECT_EQ(put, rte_ring_get_capacity(ring.get()) - 1);
  __rte_ring_enqueue_elems(ring.get(), head, std::array<void*, 1>{&packet}.data(), sizeof(void*), 1);
  __rte_ring_rts_update_tail(&ring->rts_prod);
  uint32_t taken = 0;
  for (void* out = nullptr; rte_ring_dequeue(ring.get(), &out) == 0;) taken++;
  EXPECT_EQ(taken, put + 1) << "and the late one";
}

TEST(PuntRing, NorDoesOneThatIsInterruptedInThePool) {
  (void)test_eal();
  const Buffers buffers = must(Buffers::create("any_thread", 511, kBufferRoom, true));
  const auto* ring = static_cast<const rte_ring*>(buffers.pool()->pool_data);
  EXPECT_EQ(rte_ring_get_prod_htd_max(ring), rte_ring_get_capacity(ring));
  EXPECT_EQ(rte_ring_get_cons_htd_max(ring), rte_ring_get_capacity(ring));
}

}  // namespace
}  // namespace lb::dpdk
