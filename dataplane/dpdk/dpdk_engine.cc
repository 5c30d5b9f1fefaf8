#include "dataplane/dpdk/dpdk_engine.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include "dataplane/flows/explain.h"
#include "dataplane/model/explain_frame.h"

namespace lb::dpdk {
namespace {

constexpr std::chrono::seconds kPublishDeadline{2};

// What workers use before the first publication: nothing is owned.
std::shared_ptr<const model::Snapshot> nothing() {
  model::IdTable ids;
  auto compiled = model::Compiler(lb_hash_key{}).compile({}, {}, ids, net::Generation(0));
  return std::move(compiled).value();
}

std::vector<net::Address> sorted_owned(const model::Snapshot& snapshot) {
  std::vector<net::Address> owned = model::owned_addresses(snapshot);
  std::sort(owned.begin(), owned.end());
  return owned;
}

int worker_main(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

}  // namespace

net::Result<EalOptions> eal_options(const model::Daemon& daemon, Log log) {
  if (net::Status cores = check_cores(daemon.workers); !cores) return cores.error();
  const auto plans = host::plan_ports(daemon.ports);
  if (!plans) return plans.error();
  return EalOptions{.workers = daemon.workers,
                    .huge_pages = daemon.huge_pages,
                    .memory_mb = memory_needed_mb(*plans, static_cast<uint32_t>(daemon.workers.size())),
                    .pci = pci_addresses(*plans),
                    .log = std::move(log)};
}

DpdkEngine::DpdkEngine(const model::Daemon& daemon, Eal& eal, Log log)
    : daemon_(daemon),
      eal_(eal),
      log_(std::move(log)),
      readers_(static_cast<uint32_t>(daemon.workers.size())),
      snapshots_(readers_, nothing()) {}

net::Result<std::unique_ptr<DpdkEngine>> DpdkEngine::start(const model::Daemon& daemon, Eal& eal,
                                                           model::OwnedFilterFactory& filters, Log log,
                                                           const FlowOptions& flows, TwinsFor twins) {
  const auto plans = host::plan_ports(daemon.ports, twins);
  if (!plans) return plans.error();
  std::unique_ptr<DpdkEngine> engine(new DpdkEngine(daemon, eal, std::move(log)));
  if (net::Status opened = engine->open_flows(flows); !opened) return opened.error();
  if (net::Status opened = engine->open_buffers(*plans); !opened) return opened.error();
  if (net::Status opened = engine->open_ports(*plans, filters); !opened) return opened.error();
  if (net::Status launched = engine->launch(); !launched) return launched.error();
  return engine;
}

net::Status DpdkEngine::open_flows(const FlowOptions& options) {
  if (options.folder.empty() || options.flows == 0) return {};
  auto file = FlowFile::open(options, static_cast<uint32_t>(daemon_.workers.size()), log_);
  if (!file) return file.error();
  flows_ = std::make_unique<FlowTables>(std::move(*file), options.flows);
  return {};
}

net::Status DpdkEngine::open_buffers(const std::vector<PortPlan>& plans) {
  static std::atomic<uint32_t> engines = 0;  // names of pools are the process's
  const uint32_t number = engines++;
  const auto workers = static_cast<uint32_t>(daemon_.workers.size());
  const bool twins = std::any_of(plans.begin(), plans.end(), [](const PortPlan& p) { return p.twin; });
  auto buffers = Buffers::create(fmt::format("lbd{}", number), buffers_needed(plans, workers), kBufferRoom, twins);
  if (!buffers) return buffers.error();
  buffers_ = std::make_unique<Buffers>(std::move(*buffers));
  const uint16_t room = large_room_needed(plans);
  longest_frame_ = std::max(kBufferRoom, room);
  if (room == 0) return {};
  auto large = Buffers::create(fmt::format("lbd{}-large", number), large_buffers_needed(plans, workers), room, twins);
  if (!large) return large.error();
  large_buffers_ = std::make_unique<Buffers>(std::move(*large));
  return {};
}

net::Status DpdkEngine::open_ports(const std::vector<PortPlan>& plans, model::OwnedFilterFactory& filters) {
  const DispatchKeys keys = DispatchKeys::make();
  const PortContext context{.workers = static_cast<uint16_t>(daemon_.workers.size()),
                            .eal = eal_,
                            .buffers = *buffers_,
                            .large_buffers = large_buffers_.get(),
                            .filters = filters,
                            .keys = keys,
                            .log = log_};
  for (const PortPlan& plan : plans) {
    auto port = Port::open(plan, context);
    if (!port) return port.error();
    ports_.push_back(std::move(*port));
  }
  return {};
}

void DpdkEngine::make_workers() {
  for (uint32_t w = 0; w < daemon_.workers.size(); w++) {
    WorkerOptions options{.number = w, .rx = {}, .tx = {}, .relays = {}, .idle = daemon_.idle};
    for (const auto& port : ports_) {
      const DispatchRings& queues = port->queues();
      for (const RxQueue& queue : queues.rx_of(w)) options.rx.push_back(queue);
      options.tx.push_back(queues.tx_of(w));
      for (const Relay& relay : queues.relays_of(w)) options.relays.push_back(relay);
      if (const auto relay = port->twin_relay_of(w)) options.relays.push_back(*relay);
    }
    if (flows_ != nullptr) {
      options.flow_table = flows_->of(w);
      options.other_flows = flows_->others_of(w);
      options.flow_requests = flows_->requests_of(w);
    }
    options.fragments.held_bytes = longest_frame_;
    workers_.push_back(std::make_unique<Worker>(std::move(options), readers_, snapshots_));
  }
}

net::Status DpdkEngine::launch() {
  make_workers();
  for (size_t w = 0; w < workers_.size(); w++) {
    auto& others = other_datagrams_.emplace_back();
    for (const auto& other : workers_)
      if (other != workers_[w]) others.push_back(&other->datagrams());
    workers_[w]->set_other_datagrams(others);
  }
  for (uint32_t& w = launched_; w < workers_.size(); w++)
    if (rte_eal_remote_launch(worker_main, workers_[w].get(), Eal::lcore_of(w)) != 0)
      return net::Error{net::Code::kInternal,
                        fmt::format("worker {} on core {} does not start: its thread is busy", w, daemon_.workers[w])};
  std::vector<Twin*> twins;
  for (const auto& port : ports_)
    if (port->twin() != nullptr) twins.push_back(port->twin());
  if (!twins.empty()) exception_path_ = std::make_unique<ExceptionPath>(std::move(twins));
  return {};
}

// All of them or no new one: the start fails when this does.
net::Status DpdkEngine::keep() {
  net::Status kept;
  for (const auto& port : ports_)
    if (kept && port->twin() != nullptr) kept = port->twin()->keep();
  if (kept) return kept;
  for (const auto& port : ports_)
    if (port->twin() != nullptr) port->twin()->keep_no_more();
  return kept;
}

DpdkEngine::~DpdkEngine() {
  stop();
}

// Filters first: what lbd owned meets no listener in the kernel, rather than a queue that nobody empties.
void DpdkEngine::stop() {
  (void)own({});
  for (const auto& worker : workers_) worker->stop();
  for (uint32_t w = 0; w < launched_; w++) rte_eal_wait_lcore(Eal::lcore_of(w));
  exception_path_.reset();
  workers_.clear();
  ports_.clear();
}

net::Status DpdkEngine::own(const std::vector<net::Address>& addresses) {
  for (const auto& port : ports_)
    if (net::Status set = port->set_owned(addresses); !set) return set;
  owned_ = addresses;
  return {};
}

std::vector<net::WorkerId> DpdkEngine::behind(uint64_t generation) const {
  std::vector<net::WorkerId> late;
  for (uint32_t w = 0; w < workers_.size(); w++)
    if (workers_[w]->generation() != generation) late.push_back(net::WorkerId(static_cast<uint16_t>(w)));
  return late;
}

// An address is taken from the kernel only while the workers know it: what leaves is given back before the swap, what
// is new is taken after it.
net::Result<model::PublishReport> DpdkEngine::publish(std::shared_ptr<const model::Snapshot> snapshot) {
  const auto until = std::chrono::steady_clock::now() + kPublishDeadline;
  const std::vector<net::Address> before = owned_, after = sorted_owned(*snapshot);
  std::vector<net::Address> staying;
  std::set_intersection(before.begin(), before.end(), after.begin(), after.end(), std::back_inserter(staying));
  if (net::Status set = own(staying); !set) {
    (void)own(before);
    return set.error();
  }
  const std::shared_ptr<const model::Snapshot> old = snapshots_.current();
  const net::Generation generation = snapshot->generation;
  snapshots_.publish(std::move(snapshot), kPublishDeadline);
  if (net::Status set = own(after); !set) {
    snapshots_.publish(old, kPublishDeadline);
    (void)own(before);
    return set.error();
  }
  // The grace period tells who dropped the old snapshot; each worker's own word tells that it took the new one.
  std::vector<net::WorkerId> late = behind(net::raw(generation));
  while (!late.empty() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
    late = behind(net::raw(generation));
  }
  return model::PublishReport{.generation = generation, .late = std::move(late)};
}

std::vector<model::WorkerCounters> DpdkEngine::workers() {
  std::vector<model::WorkerCounters> all;
  for (uint32_t w = 0; w < workers_.size(); w++) {
    model::WorkerCounters c;
    c.worker = net::WorkerId(static_cast<uint16_t>(w));
    c.core = daemon_.workers[w];
    c.name = fmt::format("core {}", daemon_.workers[w]);
    c.generation = net::Generation(workers_[w]->generation());
    for (size_t i = 0; i < c.counters.size(); i++) c.counters[i] = stages::peek(workers_[w]->state().counters[i]);
    all.push_back(c);
  }
  return all;
}

std::vector<model::PortCounters> DpdkEngine::ports() {
  std::vector<model::PortCounters> all;
  for (const auto& port : ports_) all.push_back(port->counters());
  return all;
}

model::TrafficCounters DpdkEngine::traffic() {
  model::TrafficCounters total;
  total.services.resize(LB_MAX_SERVICES);
  total.backends.resize(LB_MAX_BACKENDS + 1);
  const auto add = [](std::vector<lb_traffic>& sum, const std::vector<lb_traffic>& part) {
    for (size_t i = 0; i < sum.size(); i++) {
      sum[i].packets += stages::peek(part[i].packets);
      sum[i].bytes += stages::peek(part[i].bytes);
    }
  };
  for (const auto& worker : workers_) {
    add(total.services, worker->state().services);
    add(total.backends, worker->state().backends);
  }
  return total;
}

net::Result<model::Explanation> DpdkEngine::explain(const model::ExplainRequest& request) {
  flows::ExplainPort port;
  if (!ports_.empty()) port = {ports_[0]->mac().bytes, ports_[0]->kernel_copy(), ports_[0]->twin() != nullptr};
  const auto tables = flows_ == nullptr ? std::span<const stages::FlowTable>() : flows_->all();
  auto explanation = flows::explain(request, *snapshots_.current(), port, tables);
  if (explanation) explanation->worker = worker_of(request);
  return explanation;
}

// None: the device's hash decides, which software cannot know.
std::optional<net::WorkerId> DpdkEngine::worker_of(const model::ExplainRequest& request) const {
  if (workers_.size() == 1) return net::WorkerId(0);
  if (ports_.empty()) return std::nullopt;
  const auto mac = ports_[0]->mac().bytes;
  const auto frame = model::build_frame(request, mac);
  if (!frame) return std::nullopt;
  const auto worker = ports_[0]->queues().worker_of(*frame, mac);
  if (!worker) return std::nullopt;
  return net::WorkerId(static_cast<uint16_t>(*worker));
}

model::EngineFacts DpdkEngine::facts() {
  model::EngineFacts facts;
  facts.name = "dpdk";
  facts.platform = rte_version();
  facts.huge_pages = eal_.huge_pages();
  if (flows_ == nullptr) return facts;
  for (const stages::FlowTable& table : flows_->all())
    if (table.is_in_use())
      facts.flow_bytes += table.count * (sizeof(lb_flow_line) + LB_FLOW_ENTRIES * sizeof(lb_flow_cold));
  return facts;
}

uint32_t DpdkEngine::buffers_in_use() const {
  return buffers_->in_use() + (large_buffers_ ? large_buffers_->in_use() : 0);
}

}  // namespace lb::dpdk
