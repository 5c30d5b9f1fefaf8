// The end of the exception path: what the program redirects because BPF does not do it (devmap lb_exception) comes in
// by a TAP for each port, goes through the stages of the DPDK engine, and leaves by the egress interface, or to the
// kernel as if it had just been received. One thread, which sleeps while nothing comes.
//
// When lbd dies, the kernel takes the TAPs away and their devmap entries with them: the program counts
// no_exception_path from then on.
//
// Threads: everything is control's but the record and the arrays of ExceptionOptions, which the thread writes and
// control reads relaxed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/snapshot.h"
#include "dataplane/net/address.h"
#include "dataplane/net/ids.h"
#include "dataplane/net/result.h"
#include "dataplane/stages/flow_table.h"
#include "xdp/lb_abi.h"

namespace lb::xdp {

struct ExceptionPort {
  std::string ifname;
  net::Mac mac;
  model::XdpMode mode = model::XdpMode::kNative;
};

struct ExceptionOptions {
  std::vector<ExceptionPort> ports;  // by PortId
  // Of the last worker, caught up (stages::catch_up); count 0: no tracking. The others' tables outlive the path.
  stages::FlowTable flow_table{};
  std::span<const stages::FlowTable> other_flows{};
  // What it counts into; all outlive the path. Traffic by ServiceIndex and by BackendId, as many as there can be.
  lb_xdp_worker* worker = nullptr;
  lb_traffic* services = nullptr;
  lb_traffic* backends = nullptr;
  uint64_t given_back = 0;  // lb_xdp_port::given_back of the programs in generic mode
};

class ExceptionLoop;

class ExceptionPath {
 public:
  // Makes the TAPs and starts the thread, which takes nothing from them before the first snapshot.
  // ERRORS: kNotFound (interface), kUnavailable (no /dev/net/tun), kExists (a TAP's name is taken), kPermission,
  // kUnsupported (BPF), kIo.
  static net::Result<std::unique_ptr<ExceptionPath>> start(const ExceptionOptions& options);
  ~ExceptionPath();  // the thread ends after its batch, the TAPs go
  ExceptionPath(const ExceptionPath&) = delete;
  ExceptionPath& operator=(const ExceptionPath&) = delete;

  // Taken between two batches, at once when the thread sleeps. The one before is freed then.
  void set_snapshot(std::shared_ptr<const model::Snapshot> snapshot);
  uint64_t generation() const noexcept;  // of the snapshot in use; 0: none yet

  // Of a port: the interface that belongs into lb_exception, and what was lost there: its queue was full.
  const std::string& tap(net::PortId port) const;
  int tap_index(net::PortId port) const;
  uint64_t lost(net::PortId port) const;

 private:
  explicit ExceptionPath(std::unique_ptr<ExceptionLoop> loop);
  std::unique_ptr<ExceptionLoop> loop_;
  std::thread thread_;
};

// "lbx-" and the interface's name; where that is longer than 15 characters: "lbx-if" and its number. Every name of an
// interface has one of its own then.
std::string tap_name(const std::string& ifname, int index);

}  // namespace lb::xdp
