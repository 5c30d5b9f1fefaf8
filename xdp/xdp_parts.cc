#include "xdp/xdp_parts.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "dataplane/flows/flow_clock.h"
#include "dataplane/model/xdp_words.h"
#include "dataplane/stages/worker_state.h"
#include "xdp/flow_log.h"

namespace lb::xdp {
namespace {

// Before the first snapshot is known: 4 MB.
constexpr uint32_t kFirstTableLines = 65536;

constexpr std::chrono::milliseconds kBeat{100};

std::string_view mode_name(model::XdpMode mode) {
  return mode == model::XdpMode::kNative ? "native" : "generic";
}

// What the kernel answers says little: what native XDP wants of an interface.
net::Error attach_error(net::Error error, const XdpPort& port) {
  if (error.code != net::Code::kUnsupported || port.interface.mode != model::XdpMode::kNative) return error;
  error.message += "; " + model::native_xdp_needs(port.facts.mtu);
  return error;
}

}  // namespace

net::Status XdpEngine::Parts::open_runtime() {
  auto opened = Runtime::open(options.folder, options.log);
  if (!opened) return opened.error();
  runtime = std::make_unique<Runtime>(std::move(*opened));
  return {};
}

net::Status XdpEngine::Parts::open_flows() {
  if (options.flows == 0) return remove_flow_maps(*runtime, options.log);
  auto maps = FlowMaps::open(*runtime,
                             {.key = options.key,
                              .flows = options.flows,
                              .workers = shape.workers,
                              .orphan_after_ms = options.orphan_after_s * 1000},
                             options.log);
  if (!maps) return maps.error();
  shape.lines = (*maps)->lines();
  shape.former_workers = (*maps)->former_workers();
  shape.former_lines = (*maps)->former_lines();
  flows = std::make_unique<FlowTables>(std::move(*maps), options.flows);
  return {};
}

net::Status XdpEngine::Parts::load() {
  const std::vector<NamedFd> reuse = flows == nullptr ? std::vector<NamedFd>() : flows->maps().to_reuse();
  auto loaded = ProgramSet::load(shape, kFirstTableLines, reuse);
  if (!loaded) return loaded.error();
  set = std::move(*loaded);
  lb_xdp_config& config = set->maps().config();
  config.orphan_after_ms = options.orphan_after_s * 1000;
  config.started_ms = config.heartbeat_ms = flows::flow_clock_ms();
  config.pid = static_cast<uint32_t>(getpid());
  for (size_t p = 0; p < shape.ports.size(); p++)
    if (auto entered = set->maps().set_device("lb_egress", static_cast<uint16_t>(p), shape.ports[p].facts.index);
        !entered)
      return entered;
  return {};
}

net::Status XdpEngine::Parts::open_exception_path() {
  const uint32_t last = shape.workers - 1;
  const Maps& maps = set->maps();
  ExceptionOptions o;
  for (const XdpPort& port : shape.ports)
    o.ports.push_back({.ifname = port.interface.name, .mac = port.facts.mac, .mode = port.interface.mode});
  if (flows != nullptr) {
    o.flow_table = flows->of(last);
    o.other_flows = flows->others_of(last);
  }
  o.worker = &maps.workers()[last];
  o.services = &maps.service_traffic()[size_t{last} * LB_XDP_SERVICES];
  o.backends = &maps.backend_traffic()[size_t{last} * LB_XDP_BACKENDS];
  o.given_back = shape.given_back;
  auto started = ExceptionPath::start(o);
  if (!started) return started.error();
  exception_path = std::move(*started);
  for (uint16_t p = 0; p < shape.ports.size(); p++) {
    const int tap = exception_path->tap_index(net::PortId(p));
    if (auto entered = maps.set_device("lb_exception", p, static_cast<unsigned>(tap)); !entered) return entered;
  }
  return {};
}

net::Status XdpEngine::Parts::publish(std::shared_ptr<const model::Snapshot> snapshot) {
  net::Status published = set->records().publish(snapshot);
  if (!published && published.error().code == net::Code::kUnavailable) published = publish_larger(snapshot);
  if (!published) return published;
  exception_path->set_snapshot(std::move(snapshot));
  return attachments.empty() ? attach() : net::Status();
}

// The first snapshot is there: packets may come.
net::Status XdpEngine::Parts::attach() {
  std::vector<std::string> names;
  for (const XdpPort& port : shape.ports) names.push_back(port.interface.name);
  if (auto detached = detach_others(*runtime, names, options.log); !detached) return detached;
  const std::string offloads_file = std::filesystem::path(options.folder).replace_filename("offloads").string();
  auto off = Offloads::turn_off(offloads_file, options.interfaces, options.log);
  if (!off) return off.error();
  offloads = std::move(*off);
  beat();
  keeper_ = std::make_unique<Keeper>([this] { return keep(); });
  std::vector<Attachment> attached;
  for (size_t p = 0; p < shape.ports.size(); p++) {
    const model::XdpInterface& interface = shape.ports[p].interface;
    auto one = Attachment::attach(*runtime, interface.name, set->of(p).fd(), interface.mode, options.log);
    if (!one) {
      // What a former lbd had attached goes on, as an orphan.
      for (Attachment& a : attached)
        if (!a.adopted()) (void)a.detach();
      return attach_error(one.error(), shape.ports[p]);
    }
    attached.push_back(std::move(*one));
  }
  attachments = std::move(attached);
  return runtime->pin(set->maps().fd("lb_config"), "config");
}

// Programs with more room in the place of these; each packet meets the old ones with the old snapshot or the new ones
// with the new one.
net::Status XdpEngine::Parts::publish_larger(const std::shared_ptr<const model::Snapshot>& snapshot) {
  auto larger = set->load_larger(room_for(*snapshot));
  if (!larger) return larger.error();
  if (net::Status published = (*larger)->records().publish(snapshot); !published) return published;
  if (net::Status replaced = replace(**larger); !replaced) {
    (void)replace(*set);
    return replaced;
  }
  options.log(fmt::format("the tables need more room: programs are replaced by ones that have {} MB",
                          (*larger)->maps().tables().size_bytes() >> 20));
  {
    const std::lock_guard lock(beating_);
    std::swap(set, *larger);
  }
  return attachments.empty() ? net::Status() : runtime->pin(set->maps().fd("lb_config"), "config");
}

net::Status XdpEngine::Parts::replace(const ProgramSet& by) {
  for (size_t p = 0; p < attachments.size(); p++)
    if (net::Status replaced = attachments[p].replace(by.of(p).fd()); !replaced) return replaced;
  return {};
}

void XdpEngine::Parts::beat() {
  const uint64_t now = flows::flow_clock_ms();
  {
    const std::lock_guard lock(beating_);
    __atomic_store_n(&set->maps().config().heartbeat_ms, now, __ATOMIC_RELAXED);
  }
  if (flows != nullptr) flows->sweep(now);
}

// A beat when it is time for one; new flows' records as often as there are many.
std::chrono::milliseconds XdpEngine::Parts::keep() {
  const auto now = std::chrono::steady_clock::now();
  if (now >= next_beat_) {
    beat();
    next_beat_ = now + kBeat;
  }
  return flows == nullptr ? kBeat : std::min(kBeat, next_drain(flows->drain()));
}

void XdpEngine::Parts::stop() {
  const bool was_attached = !attachments.empty();
  for (Attachment& a : attachments)
    if (net::Status detached = a.detach(); !detached) options.log(detached.error().message);
  attachments.clear();
  keeper_.reset();
  if (was_attached && runtime != nullptr) (void)runtime->unpin("config");
  if (was_attached && flows != nullptr) flows->maps().set_stopped(flows::flow_clock_ms());
  if (offloads != nullptr) offloads->restore();
  exception_path.reset();
}

std::string XdpEngine::Parts::worker_name(uint32_t worker) const {
  for (const XdpPort& port : shape.ports)
    if (worker - port.first_worker < port.facts.queues)
      return fmt::format("{}/{}", port.interface.name, worker - port.first_worker);
  return "exception";
}

model::PortCounters XdpEngine::Parts::port(size_t p) const {
  const XdpPort& port = shape.ports[p];
  const std::string& name = port.interface.name;
  model::PortCounters c;
  c.port = net::PortId(static_cast<uint16_t>(p));
  c.name = c.device = c.ifname = name;
  c.driver = fmt::format("xdp {}", mode_name(port.interface.mode));
  c.mac = port.facts.mac;
  const auto facts = query_interface(name);
  c.mtu = facts ? facts->mtu : port.facts.mtu;
  c.link_up = facts && facts->link_up;
  c.queues = static_cast<uint16_t>(port.facts.queues);
  c.dispatch = port.facts.queues > 1 ? "kernel" : "";
  const InterfaceCounts counts = count_interface(name);
  c.rx_packets = counts.rx_packets;
  c.rx_bytes = counts.rx_bytes;
  c.rx_lost = counts.rx_lost + exception_path->lost(c.port);
  c.tx_packets = counts.tx_packets;
  c.tx_bytes = counts.tx_bytes;
  c.tx_lost = counts.tx_lost;
  for (uint32_t q = 0; q < port.facts.queues; q++) {
    const lb_xdp_worker& worker = set->maps().workers()[port.first_worker + q];
    c.rx_queues.push_back({.queue = static_cast<uint16_t>(q),
                           .counted = true,
                           .packets = stages::peek(worker.counters[LB_COUNT_RxPackets]),
                           .bytes = stages::peek(worker.counters[LB_COUNT_RxBytes]),
                           .lost = 0,
                           .worker = net::WorkerId(static_cast<uint16_t>(port.first_worker + q))});
  }
  return c;
}

}  // namespace lb::xdp
