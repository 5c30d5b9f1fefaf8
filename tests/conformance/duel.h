// The pipeline against the XDP program: the same events on both sides, one after the other, and everything that can be
// seen of them compared after each. The program's side is a worker of the kernel and the exception path's of lbd; the
// other side is two workers of the pipeline, of which the second one gets what belongs to the exception path.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/conformance/lone_worker.h"
#include "tests/conformance/xdp_rig.h"
#include "tests/property/table_memory.h"

namespace lb::conformance {

struct Event {
  enum class Kind : uint8_t {
    kFrame,
    kTime,           // value: ms that pass
    kSnapshot,       // value: which one is published
    kEgress,         // value: whether there is an interface to send by port kLan
    kExceptionPath,  // value: whether somebody is at its other end
  };
  Kind kind = Kind::kFrame;
  uint64_t value = 0;
  packet::Bytes frame = {};
};

class Duel {
 public:
  // is_shared: the program as in generic mode.
  Duel(std::vector<std::shared_ptr<const model::Snapshot>> snapshots, bool is_shared);

  // Empty tables and counters, the first snapshot, the first moment. The former tables stay: see keep_former().
  void restart();
  // What the pipeline has in its first table is in the former ones from now on.
  void keep_former();
  // RETURNS: what is different; empty: nothing.
  std::string play(const Event& e);
  // Of services and backends since restart(), which play() does not look at.
  std::string compare_traffic();

  // Of the program and of the exception path behind it, since restart().
  std::array<uint64_t, LB_COUNT_MAX> counters();

 private:
  void tick();
  std::string play_frame(const packet::Bytes& frame);
  bool is_handed_out(const packet::Bytes& frame);
  StepOutcome run_exception(const packet::Bytes& frame, LoneWorker& worker);
  std::string compare_counters();
  std::string compare_tables();

  std::vector<std::shared_ptr<const model::Snapshot>> snapshots_;
  XdpRig rig_;
  std::array<property::TableMemory, 3> memory_;    // both workers' and the former one's
  std::unique_ptr<LoneWorker> plain_, exception_;  // the pipeline's
  std::unique_ptr<LoneWorker> sweep_, far_end_;    // over the program's tables: lbd's sweep, and its exception path
  std::shared_ptr<const model::Snapshot> snapshot_;
  std::set<net::Address> owned_;
  uint64_t now_ms_ = 0;
  bool has_egress_ = true, has_exception_path_ = true;
};

// Shorter, and still different: the fewest events found in some hundred tries. RETURNS: with what is different then.
struct Reduced {
  std::vector<Event> events;
  std::string difference;
};
Reduced reduce(Duel& duel, const std::vector<Event>& events);

std::string describe(const Event& e);

}  // namespace lb::conformance
