// model::Engine on DPDK: ports, workers, publication. Start and stop belong to the control thread, like every call.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "dataplane/dpdk/buffers.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/dpdk/exception_path.h"
#include "dataplane/dpdk/flow_tables.h"
#include "dataplane/dpdk/port.h"
#include "dataplane/dpdk/rcu.h"
#include "dataplane/dpdk/worker.h"
#include "dataplane/model/engine.h"
#include "dataplane/model/owned_filter.h"

namespace lb::dpdk {

// What the configured ports and workers need of DPDK. ERRORS: those of plan_ports() and check_cores().
net::Result<EalOptions> eal_options(const model::Daemon& daemon, Log log);

class DpdkEngine : public model::Engine {
 public:
  // Opens the ports and sets the workers going; nothing is owned until the first publish(). eal, filters: outlive it.
  static net::Result<std::unique_ptr<DpdkEngine>> start(const model::Daemon& daemon, Eal& eal,
                                                        model::OwnedFilterFactory& filters, Log log,
                                                        const FlowOptions& flows = {},
                                                        TwinsFor twins = TwinsFor::kNics);
  ~DpdkEngine() override;  // owned traffic stops, workers end, ports close, interfaces are the kernel's again

  net::Result<model::PublishReport> publish(std::shared_ptr<const model::Snapshot> snapshot) override;
  net::Status keep() override;  // the ports' twins
  std::vector<model::WorkerCounters> workers() override;
  std::vector<model::PortCounters> ports() override;
  model::TrafficCounters traffic() override;
  net::Result<model::Explanation> explain(const model::ExplainRequest& request) override;
  model::FlowTables* flows() override { return flows_.get(); }
  model::EngineFacts facts() override;

  // Packet buffers that drivers, workers and queues hold.
  uint32_t buffers_in_use() const;

 private:
  DpdkEngine(const model::Daemon& daemon, Eal& eal, Log log);
  net::Status open_flows(const FlowOptions& options);
  net::Status open_buffers(const std::vector<PortPlan>& plans);
  net::Status open_ports(const std::vector<PortPlan>& plans, model::OwnedFilterFactory& filters);
  void make_workers();
  net::Status launch();
  void stop();
  net::Status own(const std::vector<net::Address>& addresses);
  std::vector<net::WorkerId> behind(uint64_t generation) const;
  std::optional<net::WorkerId> worker_of(const model::ExplainRequest& request) const;

  model::Daemon daemon_;
  Eal& eal_;
  Log log_;
  Readers readers_;
  Published<model::Snapshot> snapshots_;
  std::vector<net::Address> owned_;    // what the filters have; sorted
  std::unique_ptr<FlowTables> flows_;  // null: no tracking
  std::unique_ptr<Buffers> buffers_, large_buffers_;
  std::vector<std::unique_ptr<Port>> ports_;
  uint16_t longest_frame_ = 0;  // that a buffer holds
  std::vector<std::unique_ptr<Worker>> workers_;
  uint32_t launched_ = 0;                                               // of them
  std::vector<std::vector<const stages::Datagrams*>> other_datagrams_;  // by worker
  std::unique_ptr<ExceptionPath> exception_path_;                       // null: no port has a twin
};

}  // namespace lb::dpdk
