// What the control plane stands on, made up: an engine that remembers what was published, a kernel with settable reach,
// files that fail when told, and a folder that goes away.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "ctl/access.h"
#include "ctl/announcer.h"
#include "ctl/file_ops.h"
#include "ctl/topology_source.h"
#include "dataplane/model/config_text.h"
#include "dataplane/model/engine.h"

namespace lb::ctl {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "lbd-ctl-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string operator/(const std::string& name) const { return path_ + '/' + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

inline void spill(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

// Flows as a test writes them: eight to a line, in their order.
class FakeFlowTables : public model::FlowTables {
 public:
  model::FlowTotals count() override {
    counts++;
    model::FlowTotals totals;
    totals.capacity = 65536;
    totals.live = flows.size();
    totals.backends.resize(LB_MAX_BACKENDS + 1);
    for (const model::Flow& f : flows) {
      model::BackendFlows& b = totals.backends[net::raw(f.backend)];
      b.idle_ms = std::min(b.idle_ms, f.idle_ms);
      b.named = true;
      uint32_t* const by_class[] = {&b.once, &b.established, &b.closing, &b.udp};
      ++*by_class[static_cast<size_t>(f.flow_class)];
    }
    for (net::BackendId id : named) totals.backends[net::raw(id)].named = true;
    return totals;
  }
  std::optional<uint64_t> scan(uint64_t position, uint64_t lines, const std::function<void(const model::Flow&)>& each,
                               Which which) override {
    const size_t end = std::min(flows.size(), (position + lines) * 8);
    for (size_t i = position * 8; i < end; i++)
      if (!flows[i].over || which == Which::kAll) each(flows[i]);
    if (end >= flows.size()) return std::nullopt;
    return position + lines;
  }
  bool forget(const model::Flow& flow) override {
    if (refusals > 0 && refusals-- > 0) return false;
    forgotten.push_back(flow);
    return true;
  }
  std::span<uint64_t> backend_ids() override { return words; }
  void tidy() override { tidied++; }

  std::vector<model::Flow> flows, forgotten;
  std::set<net::BackendId> named;  // by entries whose timeout is over
  std::vector<uint64_t> words = std::vector<uint64_t>(LB_MAX_BACKENDS + 1);
  int counts = 0, tidied = 0;
  int refusals = 0;  // of forget(), from now on
};

// A few users and groups.
class FakeAccounts : public Accounts {
 public:
  std::optional<uint32_t> user(const std::string& name) override { return number_in(users, name); }
  std::optional<uint32_t> group(const std::string& name) override { return number_in(groups, name); }
  std::string name_of(uint32_t uid) override {
    for (const auto& [name, number] : users)
      if (number == uid) return name;
    return {};
  }
  std::map<std::string, uint32_t> users = {{"root", 0}, {"alice", 4001}, {"bob", 4002}, {"nobody", 65534}};
  std::map<std::string, uint32_t> groups = {{"lbd", 4100}, {"lbd-view", 4200}};

 private:
  static std::optional<uint32_t> number_in(const std::map<std::string, uint32_t>& all, const std::string& name) {
    const auto it = all.find(name);
    return it == all.end() ? std::nullopt : std::optional(it->second);
  }
};

class FakeEngine : public model::Engine {
 public:
  FakeEngine() {
    for (uint16_t i = 0; i < worker_counters.size(); i++) {
      model::WorkerCounters& w = worker_counters[i];
      w.worker = net::WorkerId(i);
      w.core = 2u + i;
      w.name = "core " + std::to_string(*w.core);
    }
  }
  net::Result<model::PublishReport> publish(std::shared_ptr<const model::Snapshot> snapshot) override {
    if (on_publish) on_publish();
    if (refuse) return net::Error{net::Code::kInternal, "the engine refused"};
    published = std::move(snapshot);
    publications++;
    return model::PublishReport{published->generation, late};
  }
  net::Status keep() override {
    keeps.push_back(publications);
    if (refuse_keep) return net::Error{net::Code::kIo, "lbd-wan: cannot be made persistent"};
    return {};
  }
  std::vector<model::WorkerCounters> workers() override {
    for (auto& w : worker_counters) {
      if (published) w.generation = published->generation;
    }
    return worker_counters;
  }
  std::vector<model::PortCounters> ports() override {
    if (on_ports) on_ports();
    model::PortCounters p;
    p.name = "wan";
    p.device = p.ifname = "eth0";
    p.driver = "fake";
    p.mtu = 1500;
    p.queues = 1;
    p.link_up = true;
    p.rx_packets = 7;
    p.dispatch = "rss";
    p.rx_queues = {{.queue = 0, .counted = true, .packets = 7, .bytes = 420, .lost = 1, .worker = net::WorkerId(1)},
                   {.queue = 1, .counted = false, .packets = 0, .bytes = 0, .lost = 0, .worker = std::nullopt}};
    return {p};
  }
  model::TrafficCounters traffic() override { return counted; }
  model::FlowTables* flows() override { return tables; }
  model::EngineFacts facts() override { return told; }
  // The first backend of the first slot, with what an engine tells besides.
  net::Result<model::Explanation> explain(const model::ExplainRequest& request) override {
    model::Explanation e;
    e.generation = published->generation;
    e.verdict = "punted";
    for (size_t i = 0; i < published->listener_names.size(); i++) {
      if (published->listener_names[i].address != request.destination.address) continue;
      e.verdict = "forwarded";
      e.listener = published->listener_names[i];
      e.service = published->service_names.front();
      e.hash = 0x0123456789abcdefull;
      e.slot = 0;
      e.backend = net::BackendId{published->table_of(published->services.front())[0]};
      e.port = net::PortId{0};
      e.in_bytes = request.size;
      e.out_bytes = request.size + 20;
      e.out = std::vector<uint8_t>(14 + 20);
      e.out[0] = 2;
      e.out[14] = 0x45;
      e.out[22] = 64;
      e.out[23] = LB_PROTO_IPIP;
      break;
    }
    return e;
  }

  std::shared_ptr<const model::Snapshot> published;
  int publications = 0;
  std::vector<int> keeps;            // after how many publications
  FakeFlowTables* tables = nullptr;  // a test's, with flows
  bool refuse = false, refuse_keep = false;
  std::function<void()> on_publish, on_ports;
  std::vector<net::WorkerId> late;
  std::vector<model::WorkerCounters> worker_counters = std::vector<model::WorkerCounters>(2);
  model::TrafficCounters counted;
  model::EngineFacts told;
};

// Everything is on link behind port 0, but for what `why` names.
class FakeTopology : public TopologySource {
 public:
  net::Result<model::Topology> resolve(const std::set<net::Address>& backends) override {
    model::Topology topology;
    for (const net::Address& a : backends) {
      model::Reach& reach = topology.reach[a];
      const auto it = why.find(a);
      if (it != why.end()) {
        reach.why = it->second;
        continue;
      }
      reach.resolved = true;
      reach.next_hop = a;
      reach.on_link = true;
      reach.source = net::Address::parse(a.is_ipv4() ? "10.0.0.1" : "2001:db8:1::1").value();
      reach.dst_mac = net::Mac::parse("02:00:00:00:00:02").value();
      reach.src_mac = net::Mac::parse("02:00:00:00:00:01").value();
      reach.mtu = mtu;
    }
    topology.kernel_addresses = own;
    return topology;
  }
  void follow(std::set<net::Address> backends) override { followed = std::move(backends); }
  void on_change(std::function<void()> changed) override { change = std::move(changed); }
  std::vector<std::string> problems() const override { return sentences; }

  uint16_t mtu = 1500;
  std::map<net::Address, std::string> why;
  std::set<net::Address> own, followed;
  std::function<void()> change;
  std::vector<std::string> sentences;
};

class FakeVipDevice : public VipDevice {
 public:
  std::map<net::Address, std::string> announce(const std::set<net::Address>& wanted) override {
    calls++;
    std::map<net::Address, std::string> failed = refusals;
    std::erase_if(failed,
                  [&](const auto& entry) { return wanted.contains(entry.first) == routes.contains(entry.first); });
    for (auto it = routes.begin(); it != routes.end();)
      it = wanted.contains(*it) || failed.contains(*it) ? std::next(it) : routes.erase(it);
    for (const net::Address& a : wanted)
      if (!failed.contains(a)) routes.insert(a);
    return failed;
  }
  void close() override {
    closed++;
    routes.clear();
  }
  bool is_whole() override { return whole; }
  uint64_t dropped() const override { return 5; }

  std::set<net::Address> routes;
  std::map<net::Address, std::string> refusals;  // of what would change
  int calls = 0, closed = 0;
  bool whole = true;
};

// Fails the n-th operation (from 1), or every one from it on; writes may fall short. `before` runs ahead of each.
class FaultyFiles : public FileOps {
 public:
  int open(const char* path, int flags, mode_t mode) override {
    return step("open") ? FileOps::open(path, flags, mode) : -1;
  }
  ssize_t write(int fd, const void* data, size_t bytes) override {
    if (step("write")) return FileOps::write(fd, data, short_writes ? std::min<size_t>(bytes, 7) : bytes);
    if (half_write) FileOps::write(fd, data, bytes / 2);
    return -1;
  }
  int fsync(int fd) override { return step("fsync") ? FileOps::fsync(fd) : -1; }
  int close(int fd) override {
    const bool good = step("close");
    const int closed = FileOps::close(fd);
    if (!good) errno = error;
    return good ? closed : -1;
  }
  int rename(const char* from, const char* to) override { return step("rename") ? FileOps::rename(from, to) : -1; }
  int link(const char* from, const char* to) override { return step("link") ? FileOps::link(from, to) : -1; }
  int unlink(const char* path) override { return step("unlink") ? FileOps::unlink(path) : -1; }

  int count = 0;    // operations so far
  int fail_at = 0;  // 0: never
  int kill_at = 0;  // 0: never; _exit() ahead of that operation
  bool lasting = false;
  bool short_writes = false, half_write = false;
  int error = EIO;
  std::vector<std::string> names;

 private:
  bool step(const char* name) {
    count++;
    names.emplace_back(name);
    if (kill_at == count) _exit(42);
    const bool fails = fail_at > 0 && (lasting ? count >= fail_at : count == fail_at);
    if (fails) errno = error;
    return !fails;
  }
};

inline constexpr char kDocument[] = R"(version: 1
daemon:
  dpdk:
    workers: [2, 3]
    ports:
      - {name: wan, device: eth0}
pools:
  fe:
    backends:
      - {name: fe11, address: 10.0.0.11, weight: 100, labels: {rack: r12}}
      - {name: fe12, address: 10.0.0.12, weight: 50, labels: {rack: r13}}
      - {name: fe13, address: "2001:db8:1::13"}
  be:
    backends:
      - {name: be1, address: 10.0.1.1}
services:
  web: {listen: ["192.0.2.10:80/tcp", "[2001:db8::10]:80/tcp"], pool: fe, table-size: 251}
  dns: {listen: ["192.0.2.53:53/udp"], pool: be, schedule: source-hash, table-size: 251}
)";

}  // namespace lb::ctl
