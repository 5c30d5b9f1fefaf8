// A snapshot, a flow table in plain memory and batches of packets that have gone as far as hash_flows(): what the flow
// stage sees of the world, without frames.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/net/hash.h"
#include "dataplane/stages/choose.h"
#include "dataplane/stages/flow.h"
#include "dataplane/stages/worker_state.h"
#include "tests/property/random.h"
#include "tests/property/table_memory.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::property {

// Flow n of service n % 2, 10.x.x.x -> 192.0.2.(10 + service), ports from n.
struct Tuple {
  lb_addr src, dst;
  lb_be16 sport, dport;
  uint8_t proto;
  uint32_t service;
};
inline Tuple tuple_of(uint32_t n, uint8_t proto) {
  Tuple t{};
  t.service = n % 2;
  t.src = stages::raw_address("10.0.0.0");
  t.dst = stages::raw_address(t.service == 0 ? "192.0.2.10" : "192.0.2.11");
  t.src.b[13] = static_cast<uint8_t>(n >> 16);
  t.src.b[14] = static_cast<uint8_t>(n >> 8);
  t.src.b[15] = static_cast<uint8_t>(n);
  t.sport = lb_htons(static_cast<uint16_t>(1024 + (n >> 24)));
  t.dport = lb_htons(80);
  t.proto = proto;
  return t;
}
inline uint64_t hash_of(const lb_hash_key& key, const Tuple& t) {
  return lb_flow_hash4(&key, lb_load32(t.src.b + 12), lb_load32(t.dst.b + 12),
                       t.sport | static_cast<uint32_t>(t.dport) << 16, t.proto);
}

// Two services with a pool each: backends 1 to 6 in pool 1, 7 to 12 in pool 2; TCP and UDP port 80.
class FlowWorld {
 public:
  static constexpr uint32_t kSlots = 251;
  static constexpr uint16_t kBackends = 12;

  FlowWorld() {
    for (uint16_t b = 1; b <= kBackends; b++) {
      snapshot_.add_backend("203.0.113." + std::to_string(b), "203.0.113.254");
      get().backends[b].pool = b <= 6 ? 1 : 2;
    }
    for (uint32_t s = 0; s < 2; s++) {
      const std::string vip = s == 0 ? "192.0.2.10" : "192.0.2.11";
      snapshot_.own(vip);
      snapshot_.serve(std::vector<uint16_t>(kSlots));
      for (const uint8_t proto : {LB_PROTO_TCP, LB_PROTO_UDP}) snapshot_.listen(vip, 80, proto, s);
      get().services[s].pool = static_cast<uint16_t>(s + 1);
      slots_.emplace_back(kSlots);
      for (uint32_t i = 0; i < kSlots; i++) slots_[s][i] = static_cast<uint16_t>(1 + 6 * s + i % 6);
      get().table_slots[s] = slots_[s].data();
    }
  }
  model::Snapshot& get() { return snapshot_.get(); }
  lb_hash_key key() const { return const_cast<FlowWorld*>(this)->get().hash_key; }
  std::vector<uint16_t>& slots(uint32_t service) { return slots_[service]; }
  uint16_t chosen(const Tuple& t) { return slots_[t.service][lb_slot(hash_of(get().hash_key, t), kSlots)]; }

 private:
  stages::SmallSnapshot snapshot_;
  std::vector<std::vector<uint16_t>> slots_;
};

class FlowBatch {
 public:
  explicit FlowBatch(const model::Snapshot& snapshot) : snapshot_(snapshot) {}
  void clear() { count_ = 0; }
  void add(const Tuple& t, uint8_t tcp) {
    stages::Meta& m = batch_->meta[count_++];
    m = stages::Meta{};
    m.src = t.src;
    m.dst = t.dst;
    m.sport = t.sport;
    m.dport = t.dport;
    m.proto = t.proto;
    m.family = 4;
    m.service = t.service;
    m.tcp = t.proto == LB_PROTO_TCP ? tcp : 0;
    m.hash = hash_of(snapshot_.hash_key, t);
  }
  void run(stages::FlowTracker& tracker) {
    batch_->start(count_);
    stages::find_flows(*batch_, snapshot_, tracker);
    found_ = batch_->known;
    stages::choose(*batch_, snapshot_);
    stages::keep_flows(*batch_, snapshot_, tracker);
  }
  uint32_t size() const { return count_; }
  bool known(uint32_t i) const { return (found_ >> i & 1) != 0; }
  bool live(uint32_t i) const { return (batch_->live >> i & 1) != 0; }
  uint8_t reason(uint32_t i) const { return batch_->reason[i]; }
  uint16_t backend(uint32_t i) const { return batch_->meta[i].backend; }

 private:
  const model::Snapshot& snapshot_;
  std::unique_ptr<stages::Batch> batch_ = std::make_unique<stages::Batch>();
  uint32_t count_ = 0;
  uint64_t found_ = 0;
};

}  // namespace lb::property
