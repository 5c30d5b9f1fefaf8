// What the engine consists of, in the order of dependence, and what it does with it from start to stop. For
// xdp_engine.cc alone. Control thread only, but for the beat.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "xdp/attachment.h"
#include "xdp/exception_path.h"
#include "xdp/flow_maps.h"
#include "xdp/flow_tables.h"
#include "xdp/keeper.h"
#include "xdp/offloads.h"
#include "xdp/program_set.h"
#include "xdp/runtime.h"
#include "xdp/xdp_engine.h"

namespace lb::xdp {

struct XdpEngine::Parts {
  Parts(const XdpOptions& o, ProgramShape s) : options(o), shape(std::move(s)) {}

  // Of the start, in this order.
  net::Status open_runtime();
  net::Status open_flows();
  net::Status load();
  net::Status open_exception_path();

  net::Status publish(std::shared_ptr<const model::Snapshot> snapshot);
  void stop();  // programs first: what comes in afterwards is the kernel's
  model::PortCounters port(size_t p) const;
  std::string worker_name(uint32_t worker) const;  // "eth0/1", "exception"

  XdpOptions options;
  ProgramShape shape;
  std::unique_ptr<Runtime> runtime;
  std::unique_ptr<FlowTables> flows;  // null: no tracking
  std::unique_ptr<Offloads> offloads;
  std::unique_ptr<ProgramSet> set;
  std::unique_ptr<ExceptionPath> exception_path;
  std::vector<Attachment> attachments;  // by PortId; empty before the first publish()

 private:
  net::Status attach();
  net::Status publish_larger(const std::shared_ptr<const model::Snapshot>& snapshot);
  net::Status replace(const ProgramSet& by);
  void beat();
  std::chrono::milliseconds keep();

  std::mutex beating_;                               // the beat reads `set`
  std::chrono::steady_clock::time_point next_beat_;  // the keeper's
  std::unique_ptr<Keeper> keeper_;
};

}  // namespace lb::xdp
