// The stages with a Fragments of their own, and what an engine does around them: batches, released fragments as batches
// of their own, counters.
#pragma once

#include <utility>

#include "dataplane/stages/count.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"
#include "tests/packet/fragmenter.h"
#include "tests/unit/stages/small_snapshot.h"

namespace lb::stages {

inline constexpr std::string_view kVip4 = "192.0.2.10", kVip6 = "2001:db8::10", kClient4 = "198.51.100.7",
                                  kClient6 = "2001:db8:c::7";

struct Fate {
  Verdict verdict = Verdict::kNone;
  Drop reason = LB_DROP_BadIpHeader;
  uint16_t backend = 0;
  packet::Bytes frame;
};

class FragmentWorld {
 public:
  // Services of UDP and TCP port 53 on both addresses, with six backends.
  explicit FragmentWorld(const FragmentOptions& options = {}) : fragments(state.counters, options) {
    std::vector<uint16_t> slots;
    for (uint32_t b = 0; b < 6; b++)
      slots.push_back(snapshot.add_backend("10.0.0.1" + std::to_string(b + 1), "10.0.0.1", 9000));
    snapshot.serve(slots);
    for (const auto& vip : {kVip4, kVip6}) {
      snapshot.own(vip);
      for (const uint8_t proto : {LB_PROTO_UDP, LB_PROTO_TCP}) snapshot.listen(vip, 53, proto, 0);
    }
    fragments.tick(now_ms);
  }

  // One batch. REQUIRES: at most kBatch.
  std::vector<Fate> run(const std::vector<packet::Bytes>& frames) {
    Frames f(frames);
    f.batch.ingress = 3;
    stages::run(f.batch, snapshot.get(), belongings());
    return finish(f.batch, static_cast<uint32_t>(frames.size()), true);
  }
  Fate run_one(const packet::Bytes& frame) { return run({frame})[0]; }
  // All that wait no longer, as the batches that an engine makes of them.
  std::vector<Fate> woken() {
    std::vector<Fate> all;
    while (fragments.has_woken()) {
      Frames f({});
      std::vector<std::unique_ptr<uint8_t[]>> buffers;
      const uint32_t n = fragments.release(f.batch, [&](Slot i, uint16_t bytes) noexcept {
        buffers.push_back(std::make_unique<uint8_t[]>(64u + bytes));
        f.batch.headroom[i] = 64;
        return buffers.back().get() + 64;
      });
      stages::run(f.batch, snapshot.get(), belongings());
      for (Fate& fate : finish(f.batch, n, false)) all.push_back(std::move(fate));
    }
    return all;
  }
  void pass(uint64_t ms) { fragments.tick(now_ms += ms); }
  uint64_t count(uint32_t counter) const { return state.counters[counter]; }
  // The rule of every worker, at batch boundaries.
  bool adds_up() const {
    uint64_t sum = count(LB_COUNT_Forwarded) + count(LB_COUNT_Answered) + count(LB_COUNT_Punted) + count(LB_COUNT_Held);
    for (uint32_t c = LB_DROP_FIRST; c <= static_cast<uint32_t>(LB_DROP_LAST); c++) sum += count(c);
    return sum == count(LB_COUNT_RxPackets) && fragments.held() == count(LB_COUNT_Held);
  }
  uint16_t backend_of(const packet::Bytes& whole) {
    Frames f({whole});
    stages::run(f.batch, snapshot.get());
    return f.batch.meta[0].backend;
  }

  WorkerState state;
  SmallSnapshot snapshot;
  Fragments fragments;
  FlowTracker* flows = nullptr;
  uint64_t now_ms = 1'000'000;

 private:
  Belongings belongings() { return {.flows = flows, .fragments = &fragments, .answers = nullptr}; }
  std::vector<Fate> finish(Batch& b, uint32_t n, bool received) {
    std::vector<Fate> fates;
    for (Slot i = 0; i < n; i++)
      fates.push_back({b.verdict[i], static_cast<Drop>(b.reason[i]), b.meta[i].backend,
                       packet::Bytes(b.data[i], b.data[i] + b.length[i])});
    if (received)
      stages::count(b, n, 0, state);
    else
      count_verdicts(b, n, state);
    return fates;
  }
};

// A UDP datagram of n bytes behind its header.
inline packet::Bytes datagram(bool ipv6, uint16_t sport, size_t bytes) {
  packet::Packet p = packet::eth();
  if (ipv6)
    p.ip6(kClient6, kVip6);
  else
    p.ip4(kClient4, kVip4, {.df = false});
  return p.udp(sport, 53).payload_size(bytes).bytes();
}

}  // namespace lb::stages
