// The XDP program under test: loaded in mode RECORD and run by the kernel on frames of ours (BPF_PROG_TEST_RUN), one
// after the other, without any interface. What it hands out goes through the pipeline, as lbd's exception path does.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dataplane/model/snapshot.h"
#include "dataplane/stages/pipeline.h"
#include "dataplane/stages/worker_state.h"
#include "tests/conformance/conformance.h"
#include "xdp/maps.h"
#include "xdp/program.h"
#include "xdp/records.h"

namespace lb::conformance {

inline constexpr size_t kLeastXdpFrame = 14, kMostXdpFrame = 3500;  // what the kernel takes for a run

struct XdpShape {
  uint32_t queues = 1;  // workers: one more, the exception path's
  uint32_t lines = 16;  // of each worker; 0: no tracking
  uint32_t former_workers = 0, former_lines = 0;
  uint32_t table_lines = 1u << 16;
  bool keeps_log = false;  // records stay in the log until take_records(); else they are taken after each frame
  bool is_shared = false;  // several CPUs may be in the program at once, as in generic mode
};

// What the program said of one frame.
struct XdpRun {
  uint32_t action = 0;  // XDP_PASS, ...
  packet::Bytes frame;  // as it left the program
  lb_xdp_decision decision{};
};

StepOutcome outcome_of(const XdpRun& r);  // of one that was not handed out

class XdpRig {
 public:
  // Frames come in on port kWan; both ports send by the loopback interface, where nothing is ever sent.
  // Aborts with a sentence when the kernel refuses.
  explicit XdpRig(const XdpShape& shape, uint32_t mode = LB_XDP_RECORD);

  void publish(std::shared_ptr<const model::Snapshot> snapshot);
  void set_clock(uint64_t now_ms) { maps_.config().now_ms = now_ms; }
  void set_start(uint64_t now_ms) { maps_.config().started_ms = now_ms; }
  void clear();  // flow tables, counters and traffic
  // Whether there is an exception path, and an interface to send by.
  void set_exception_path(bool on);
  void set_egress(uint16_t port, bool on);
  XdpRun run(const packet::Bytes& frame);
  void take_records();  // from all logs, as lbd does every few milliseconds

  const xdp::Maps& maps() const { return maps_; }
  uint32_t verified_instructions() const { return program_.verified_instructions(); }
  uint32_t workers() const { return shape_.queues + 1; }
  stages::FlowTable table(uint32_t worker);        // of a worker
  std::span<lb_xdp_log_line> log(uint32_t worker) {
    return maps_.flow_log().subspan(size_t{worker} * LB_XDP_LOG_LINES, LB_XDP_LOG_LINES);
  }
  stages::FlowTable former();                      // all former ones
  std::array<uint64_t, LB_COUNT_MAX> counters();   // sum over workers
  std::vector<lb_traffic> services(), backends();  // sum over workers

 private:
  std::vector<lb_traffic> traffic(std::span<const lb_traffic> all) const;

  XdpShape shape_;
  xdp::Maps maps_;
  xdp::Program program_;
  std::optional<xdp::Records> records_;
  std::array<stages::FlowHeartbeat, LB_MAX_WORKERS + 1> heartbeats_;  // the last one: of the former tables
};

std::string why_no_xdp();  // empty: this process may load BPF programs

}  // namespace lb::conformance
