#include "xdp/xdp_engine.h"

#include <sys/utsname.h>

#include <random>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "dataplane/flows/explain.h"
#include "dataplane/flows/flow_clock.h"
#include "dataplane/model/xdp_words.h"
#include "dataplane/stages/worker_state.h"
#include "xdp/explain.h"
#include "xdp/xdp_parts.h"

namespace lb::xdp {
namespace {

constexpr std::chrono::seconds kPublishDeadline{2};

uint64_t random_mark() {
  std::random_device device;
  return uint64_t{device()} << 32 | device() | 1;  // not 0
}

// Each port's facts and the numbers of its workers.
net::Result<ProgramShape> shape_of(const XdpOptions& options) {
  ProgramShape shape;
  shape.given_back = random_mark();
  uint32_t workers = 0;
  for (const model::XdpInterface& interface : options.interfaces) {
    auto facts = query_interface(interface.name);
    if (!facts) return facts.error();
    if (!facts->up) return net::Error{net::Code::kUnavailable, model::xdp_interface_down(interface.name)};
    shape.ports.push_back({.interface = interface, .facts = *facts, .first_worker = workers});
    workers += facts->queues;
  }
  shape.workers = workers + 1;  // the exception path is the last one
  if (workers <= model::kMaxXdpQueues) return shape;
  return net::Error{net::Code::kInvalid, model::too_many_xdp_queues(workers, options.interfaces.front().name)};
}

}  // namespace

XdpEngine::XdpEngine(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

net::Result<std::unique_ptr<XdpEngine>> XdpEngine::start(const XdpOptions& options) {
  if (options.interfaces.empty())
    return net::Error{net::Code::kInvalid, "engine xdp has no interfaces: name them in daemon.xdp.interfaces"};
  auto shape = shape_of(options);
  if (!shape) return shape.error();
  auto parts = std::make_unique<Parts>(options, std::move(*shape));
  for (const auto step : {&Parts::open_runtime, &Parts::open_flows, &Parts::load, &Parts::open_exception_path})
    if (net::Status done = ((*parts).*step)(); !done) return done.error();
  return std::unique_ptr<XdpEngine>(new XdpEngine(std::move(parts)));
}

XdpEngine::~XdpEngine() {
  parts_->stop();
}

net::Result<model::PublishReport> XdpEngine::publish(std::shared_ptr<const model::Snapshot> snapshot) {
  const auto until = std::chrono::steady_clock::now() + kPublishDeadline;
  const net::Generation generation = snapshot->generation;
  if (net::Status published = parts_->publish(std::move(snapshot)); !published) return published.error();
  model::PublishReport report{.generation = generation, .late = {}};
  const ExceptionPath& path = *parts_->exception_path;
  while (path.generation() != net::raw(generation) && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  if (path.generation() != net::raw(generation))
    report.late.push_back(net::WorkerId(static_cast<uint16_t>(parts_->shape.workers - 1)));
  return report;
}

std::vector<model::WorkerCounters> XdpEngine::workers() {
  std::vector<model::WorkerCounters> all;
  const auto& current = parts_->set->records().current();
  const net::Generation generation = current == nullptr ? net::Generation{} : current->generation;
  const std::span<lb_xdp_worker> records = parts_->set->maps().workers();
  for (uint32_t w = 0; w < records.size(); w++) {
    model::WorkerCounters c;
    c.worker = net::WorkerId(static_cast<uint16_t>(w));
    c.name = parts_->worker_name(w);
    c.generation = w + 1 < records.size() ? generation : net::Generation(parts_->exception_path->generation());
    for (size_t i = 0; i < c.counters.size(); i++) c.counters[i] = stages::peek(records[w].counters[i]);
    all.push_back(c);
  }
  return all;
}

std::vector<model::PortCounters> XdpEngine::ports() {
  std::vector<model::PortCounters> all;
  for (size_t p = 0; p < parts_->shape.ports.size(); p++) all.push_back(parts_->port(p));
  return all;
}

model::TrafficCounters XdpEngine::traffic() {
  model::TrafficCounters total;
  const auto sum = [](std::vector<lb_traffic>& of, size_t count, std::span<const lb_traffic> by_worker) {
    of.resize(count);
    for (size_t i = 0; i < by_worker.size(); i++) {
      of[i % count].packets += stages::peek(by_worker[i].packets);
      of[i % count].bytes += stages::peek(by_worker[i].bytes);
    }
  };
  sum(total.services, LB_XDP_SERVICES, parts_->set->maps().service_traffic());
  sum(total.backends, LB_XDP_BACKENDS, parts_->set->maps().backend_traffic());
  return total;
}

// What the program does not forward is the pipeline's on the exception path: whether it is answered, or split.
void XdpEngine::ask_pipeline(const model::ExplainRequest& request, model::Explanation& e) {
  const flows::ExplainPort port = {
      .mac = parts_->shape.ports[0].facts.mac.bytes, .kernel_copy = true, .exception_path = true};
  const auto tables = parts_->flows == nullptr ? std::span<const stages::FlowTable>() : parts_->flows->all();
  const auto there = flows::explain(request, *parts_->set->records().current(), port, tables);
  if (!there || there->reason != e.reason) return;
  e.verdict = there->verdict;
  e.answer = there->answer;
  e.answer_mtu = there->answer_mtu;
  e.without_df = there->without_df;
  e.port = there->port;
  e.out = there->out;
  e.out_bytes = there->out_bytes;
}

net::Result<model::Explanation> XdpEngine::explain(const model::ExplainRequest& request) {
  const auto& current = parts_->set->records().current();
  if (current == nullptr) return net::Error{net::Code::kUnavailable, "nothing is published yet; ask again in a moment"};
  const ProgramSet& set = *parts_->set;
  auto explanation = xdp::explain(request, {.dry = set.dry(),
                                            .maps = set.maps(),
                                            .snapshot = *current,
                                            .mac = parts_->shape.ports[0].facts.mac,
                                            .is_tracking = parts_->flows != nullptr});
  if (explanation && explanation->verdict == "dropped") ask_pipeline(request, *explanation);
  if (explanation && parts_->shape.workers == 2) explanation->worker = net::WorkerId(0);
  return explanation;
}

model::FlowTables* XdpEngine::flows() {
  return parts_->flows.get();
}

model::EngineFacts XdpEngine::facts() {
  model::EngineFacts facts;
  facts.name = "xdp";
  utsname kernel = {};
  uname(&kernel);
  facts.platform = fmt::format("Linux {}", kernel.release);
  if (parts_->flows != nullptr)
    for (const stages::FlowTable& table : parts_->flows->all())
      if (table.is_in_use())
        facts.flow_bytes += table.count * (sizeof(lb_flow_line) + LB_FLOW_ENTRIES * sizeof(lb_flow_cold));
  for (size_t p = 0; p < parts_->attachments.size(); p++) {
    const XdpPort& port = parts_->shape.ports[p];
    const Program& program = parts_->set->of(p);
    facts.programs.push_back({.port = net::PortId(static_cast<uint16_t>(p)),
                              .interface = port.interface.name,
                              .mode = port.interface.mode,
                              .id = program.id(),
                              .instructions = program.verified_instructions(),
                              .queues = static_cast<uint16_t>(port.facts.queues),
                              .adopted = parts_->attachments[p].adopted()});
  }
  const uint64_t now = flows::flow_clock_ms();
  const uint64_t heartbeat = stages::peek(parts_->set->maps().config().heartbeat_ms);
  facts.heartbeat_ms = now > heartbeat ? now - heartbeat : 0;
  facts.orphan_after_s = parts_->options.orphan_after_s;
  return facts;
}

}  // namespace lb::xdp
