#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "dataplane/model/compiler_parts.h"
#include "dataplane/net/outer.h"

namespace lb::model {
namespace {

// Whom a table may name: everybody who is reachable, or, for dsr, who is of the listener's family and on link.
enum class Reachable : uint8_t { kByTunnel, kOnLink4, kOnLink6 };

bool fits(const net::Address& a, Reachable how) {
  return how == Reachable::kByTunnel || a.is_ipv4() == (how == Reachable::kOnLink4);
}

bool is_eligible(const BackendState& b, Reachable how) {
  return how == Reachable::kByTunnel ? b.why_not_ipip.empty() : b.why_not_dsr.empty();
}

lb_backend compile_backend(const net::Address& address, uint16_t pool, const Reach& reach, bool takes_new) {
  lb_backend b{};
  b.pool = pool;
  b.flags = LB_BACKEND_SERVING;
  const lb_addr to = address.raw(), from = reach.resolved ? reach.source.raw() : lb_addr{};
  const net::Mac dst = reach.resolved ? reach.dst_mac : net::Mac{}, src = reach.resolved ? reach.src_mac : net::Mac{};
  lb_backend_set_head(&b, &to, &from, dst.bytes.data(), src.bytes.data());
  if (!reach.resolved) return b;
  if (takes_new) b.flags |= LB_BACKEND_READY;
  b.port = static_cast<uint8_t>(net::raw(reach.port));
  b.vlan = lb_htons(reach.vlan);
  b.mtu = reach.mtu;
  b.flags = static_cast<uint8_t>(b.flags | LB_BACKEND_RESOLVED | (reach.on_link ? LB_BACKEND_ON_LINK : 0u));
  return b;
}

// drain: null when it is ready
BackendState state_of(const std::string& pool, const Backend& b, net::BackendId id, const Reach& reach,
                      const Override* drain) {
  BackendState s{.pool = pool,
                 .name = b.name,
                 .address = b.address,
                 .weight = b.weight,
                 .id = id,
                 .why_not_ipip = {},
                 .why_not_dsr = {},
                 .drained = drain != nullptr};
  if (drain != nullptr)
    s.why_not_ipip = drain->reason.empty() ? "drained" : "drained: " + drain->reason;
  else if (b.weight == 0)
    s.why_not_ipip = "weight 0";
  else if (!reach.resolved)
    s.why_not_ipip = reach.why.empty() ? "next hop is not known" : reach.why;
  s.why_not_dsr = s.why_not_ipip;
  if (s.why_not_dsr.empty() && !reach.on_link)
    s.why_not_dsr = fmt::format("not on link: next hop is {}", reach.next_hop.to_string());
  return s;
}

// One compilation: what compile() reads and what it has so far.
class Compilation {
 public:
  Compilation(const Config& config, const Overlay& overlay, const Topology& topology, const IdTable& ids,
              TableCache& cache, CompileStats& stats, Snapshot& out)
      : config_(config), overlay_(overlay), topology_(topology), ids_(ids), cache_(cache), stats_(stats), out_(out) {}

  void compile_backends();
  void compile_services();

 private:
  struct Chosen {
    uint32_t table = 0;  // index into out_.tables
    uint64_t configured = 0, live = 0;
  };
  using Wanted = std::tuple<const std::string*, Reachable, uint32_t>;  // pool, whom, slots

  void number_pools();
  void compile_pool(const std::string& name, const std::vector<std::pair<const Backend*, net::BackendId>>& sorted);
  void compile_leaving();
  const Override* drain_of(const std::string& pool, const std::string& backend) const;
  const Reach& reach_of(const net::Address& a) const;
  Chosen choose(const std::string& pool, Reachable how, uint32_t size);
  Chosen make(const std::string& pool, Reachable how, uint32_t size);
  uint16_t number_of_pool(const std::string& name) const;
  uint32_t index_of(const std::shared_ptr<const Table>& table);
  void compile_service(const Service& s);

  const Config& config_;
  const Overlay& overlay_;
  const Topology& topology_;
  const IdTable& ids_;
  TableCache& cache_;
  CompileStats& stats_;
  Snapshot& out_;
  std::map<std::string, uint16_t> pool_numbers_;
  std::map<std::string, std::span<const BackendState>> pools_;
  std::map<Wanted, Chosen> chosen_;
  std::unordered_map<const Table*, uint32_t> indices_;
};

const Reach& Compilation::reach_of(const net::Address& a) const {
  static const Reach kUnknown{};
  const auto it = topology_.reach.find(a);
  return it == topology_.reach.end() ? kUnknown : it->second;
}

const Override* Compilation::drain_of(const std::string& pool, const std::string& backend) const {
  if (overlay_.drained.empty()) return nullptr;
  const auto it = overlay_.drained.find({pool, backend});
  return it == overlay_.drained.end() ? nullptr : &it->second;
}

// Of pools that have a backend, be it one that is leaving.
void Compilation::number_pools() {
  for (const auto& [name, pool] : config_.pools)
    if (!pool.backends.empty()) pool_numbers_[name] = 0;
  for (const auto& [key, leaving] : overlay_.leaving) pool_numbers_[key.pool] = 0;
  uint16_t pools = 0;
  for (auto& [name, number] : pool_numbers_) number = ++pools;
}

// REQUIRES: ids_ was assigned from config_ and overlay_.
void Compilation::compile_backends() {
  number_pools();
  uint32_t last = 0;
  for (const auto& [key, id] : ids_.backends()) last = std::max<uint32_t>(last, net::raw(id));
  out_.backends.resize(last + 1);
  out_.backend_states.reserve(ids_.document_order().size());
  auto id = ids_.document_order().begin();
  std::vector<std::pair<const Backend*, net::BackendId>> sorted;
  for (const auto& [name, pool] : config_.pools) {
    sorted.clear();
    for (const Backend& b : pool.backends) sorted.emplace_back(&b, *id++);
    std::ranges::sort(sorted, [](const auto& a, const auto& b) {
      return std::tie(a.first->address, a.first->name) < std::tie(b.first->address, b.first->name);
    });
    compile_pool(name, sorted);
  }
  compile_leaving();
}

void Compilation::compile_pool(const std::string& name,
                               const std::vector<std::pair<const Backend*, net::BackendId>>& sorted) {
  const size_t start = out_.backend_states.size();
  const uint16_t number = number_of_pool(name);
  for (const auto& [backend, id] : sorted) {
    const Reach& reach = reach_of(backend->address);
    const Override* drain = drain_of(name, backend->name);
    const bool takes_new = backend->weight > 0 && drain == nullptr;
    out_.backends[net::raw(id)] = compile_backend(backend->address, number, reach, takes_new);
    out_.backend_states.push_back(state_of(name, *backend, id, reach, drain));
  }
  pools_.emplace(name, std::span(out_.backend_states).subspan(start));
}

void Compilation::compile_leaving() {
  for (const auto& [key, leaving] : overlay_.leaving) {
    const net::BackendId id = ids_.backend(key);
    out_.backends[net::raw(id)] = compile_backend(key.address, number_of_pool(key.pool), reach_of(key.address), false);
    out_.leaving_states.push_back({.pool = key.pool,
                                   .name = key.name,
                                   .address = key.address,
                                   .weight = 0,
                                   .id = id,
                                   .why_not_ipip = "leaving",
                                   .why_not_dsr = "leaving",
                                   .drained = false});
  }
}

// An empty pool has none: 0 is no backend's.
uint16_t Compilation::number_of_pool(const std::string& name) const {
  const auto it = pool_numbers_.find(name);
  return it == pool_numbers_.end() ? 0 : it->second;
}

uint32_t Compilation::index_of(const std::shared_ptr<const Table>& table) {
  const auto [it, added] = indices_.try_emplace(table.get(), static_cast<uint32_t>(out_.tables.size()));
  if (added) {
    out_.tables.push_back(table);
    out_.table_slots.push_back(table->slots.data());
  }
  return it->second;
}

Compilation::Chosen Compilation::make(const std::string& pool, Reachable how, uint32_t size) {
  std::vector<MaglevBackend> configured, live;
  for (const BackendState& b : pools_.find(pool)->second) {
    if (b.weight == 0 || !fits(b.address, how)) continue;
    configured.push_back({.address = b.address, .weight = b.weight, .id = b.id});
    if (is_eligible(b, how)) live.push_back(configured.back());
  }
  sort_for_maglev(configured);
  sort_for_maglev(live);
  const auto table = cache_.table(live, size, stats_);
  const bool all = live.size() == configured.size();
  return {index_of(table), all ? table->digest : cache_.digest(configured, size, stats_), table->digest};
}

Compilation::Chosen Compilation::choose(const std::string& pool, Reachable how, uint32_t size) {
  const auto [it, added] = chosen_.try_emplace({&config_.pools.find(pool)->first, how, size});
  if (added)
    it->second = make(pool, how, size);
  else
    stats_.tables_reused++;
  return it->second;
}

void Compilation::compile_service(const Service& s) {
  const auto has = [&](bool ipv4) {
    return std::ranges::any_of(s.listen, [&](const Listener& l) { return l.address.is_ipv4() == ipv4; });
  };
  const bool dsr = s.forward == Forward::kDsr;
  const Reachable four = !dsr ? Reachable::kByTunnel : has(true) ? Reachable::kOnLink4 : Reachable::kOnLink6;
  const Reachable six = !dsr ? Reachable::kByTunnel : has(false) ? Reachable::kOnLink6 : Reachable::kOnLink4;
  const Chosen table4 = choose(s.pool, four, s.table_size);
  const Chosen table6 = six == four ? table4 : choose(s.pool, six, s.table_size);

  const uint32_t index = net::raw(ids_.service(s.name));
  const auto former = overlay_.former_pools.find(s.name);
  out_.services[index] = {
      .table4 = static_cast<uint16_t>(table4.table),
      .table6 = static_cast<uint16_t>(table6.table),
      .table_size = s.table_size,
      .pool = number_of_pool(s.pool),
      .former_pool = former == overlay_.former_pools.end() ? uint16_t{0} : number_of_pool(former->second.pool),
      .forward = static_cast<uint8_t>(s.forward),
      .schedule = static_cast<uint8_t>(s.schedule),
      .prefix4 = s.prefix4,
      .prefix6 = s.prefix6};
  out_.service_names[index] = s.name;
  const bool one = six == four;
  out_.configured[s.name] = one ? table4.configured : combine_digests(table4.configured, table6.configured);
  out_.live[s.name] = one ? table4.live : combine_digests(table4.live, table6.live);
}

void Compilation::compile_services() {
  uint32_t count = 0;
  for (const auto& [name, index] : ids_.services()) count = std::max(count, net::raw(index) + 1);
  out_.services.resize(count);
  out_.service_names.resize(count);
  for (const auto& [name, service] : config_.services) compile_service(service);
}

}  // namespace

Compiler::Compiler(lb_hash_key key) : key_(key), cache_(std::make_shared<TableCache>()) {}

net::Result<std::shared_ptr<const Snapshot>> Compiler::compile(const Config& config, const Topology& topology,
                                                               IdTable& ids, net::Generation generation,
                                                               CompileStats* stats, const Overlay& overlay) {
  if (auto status = ids.assign(config, overlay); !status) return status.error();
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->generation = generation;
  snapshot->hash_key = key_;
  snapshot->port_addresses = topology.ports;
  if (auto status = compile_listeners(config, topology, ids, *snapshot); !status) return status.error();

  CompileStats ignored;
  Compilation compilation(config, overlay, topology, ids, *cache_, stats ? *stats : ignored, *snapshot);
  compilation.compile_backends();
  compilation.compile_services();
  cache_->end_of_compilation();
  return std::shared_ptr<const Snapshot>(std::move(snapshot));
}

}  // namespace lb::model
