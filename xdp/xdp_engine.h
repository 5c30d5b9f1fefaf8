// model::Engine on XDP: a program on each interface, and a thread that shows them that lbd lives. Start and stop belong
// to the control thread, like every call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/engine.h"

namespace lb::xdp {

using Log = std::function<void(std::string_view)>;

struct XdpOptions {
  std::vector<model::XdpInterface> interfaces;
  std::string folder;  // <folder of the socket>/xdp: what outlives the process
  lb_hash_key key{};
  uint32_t flows = 0;           // capacity of the node; 0: no tracking
  uint32_t orphan_after_s = 0;  // 0: the programs go on for ever without lbd
  Log log;
};

class XdpEngine : public model::Engine {
 public:
  // Checks the interfaces, adopts the flow tables of a former lbd, loads the programs. Nothing changes for packets
  // before the first publish(): what a former lbd left attached goes on until then, and is replaced by it.
  // ERRORS: kNotFound, kUnavailable (interface missing, down, busy), kUnsupported (kernel, driver), kPermission, kIo.
  static net::Result<std::unique_ptr<XdpEngine>> start(const XdpOptions& options);
  ~XdpEngine() override;  // programs are detached, offloads restored; the flow tables stay for the next lbd

  net::Result<model::PublishReport> publish(std::shared_ptr<const model::Snapshot> snapshot) override;
  std::vector<model::WorkerCounters> workers() override;
  std::vector<model::PortCounters> ports() override;
  model::TrafficCounters traffic() override;
  net::Result<model::Explanation> explain(const model::ExplainRequest& request) override;
  model::FlowTables* flows() override;
  model::EngineFacts facts() override;

 private:
  struct Parts;
  void ask_pipeline(const model::ExplainRequest& request, model::Explanation& e);
  explicit XdpEngine(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace lb::xdp
