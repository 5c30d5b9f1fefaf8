#include "dataplane/model/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate_parts.h"
#include "dataplane/net/abi.h"

namespace lb::model {
namespace {

constexpr size_t kMaxLabelBytes = 253;

// One listener and who has it, for the search of overlaps.
struct Claim {
  const Listener* listener;
  const Service* service;
  size_t index;
  int kind() const { return listener->is_any() ? 2 : listener->is_range() ? 1 : 0; }
  auto group() const { return std::tuple(listener->address, listener->proto, kind()); }
  std::string path() const { return fmt::format("services.{}.listen[{}]", service->name, index); }
};

// Why no host can have that address; empty: it can.
std::string_view why_no_host(const Address& a) {
  if (a.is_unspecified()) return "is the unspecified address";
  if (a.is_multicast()) return "is a multicast address";
  if (a.is_loopback()) return "is a loopback address, which never leaves the host";
  if (a.is_broadcast()) return "is the broadcast address";
  if (a.is_link_local() && !a.is_ipv4()) return "is link-local and means nothing without an interface";
  return {};
}

void check_labels(const Backend& b, const std::string& path, std::vector<Violation>& out) {
  for (const auto& [key, value] : b.labels) {
    const std::string at = fmt::format("{}.labels.{}", path, shown(key));
    if (!is_valid_name(key)) out.push_back({at, name_rule("label name", key)});
    if (value.empty() || value.size() > kMaxLabelBytes || !is_one_line(value))
      out.push_back({at, fmt::format("label value {} must be 1 to {} bytes of printable text on one line",
                                     quote_text(value), kMaxLabelBytes)});
  }
}

void check_backend(const Backend& b, const std::string& path, std::vector<Violation>& out) {
  if (!is_valid_name(b.name)) out.push_back({path + ".name", name_rule("backend name", b.name)});
  if (const auto why = why_no_host(b.address); !why.empty())
    out.push_back({path + ".address", fmt::format("{} {}: a backend needs an address that packets can be sent to",
                                                  b.address.to_string(), why)});
  if (b.weight > kMaxWeight)
    out.push_back({path + ".weight", fmt::format("weight {} is out of range: it must be 0 to {} (0 takes no new flows)",
                                                 b.weight, kMaxWeight)});
  check_labels(b, path, out);
}

// A pool as its services see it.
struct PoolFacts {
  bool is_sound = true;  // every address and weight can be judged: rules about the whole pool make sense
  bool has_ipv4 = false, has_ipv6 = false;
  void add(const Backend& b) {
    is_sound &= !b.address.is_unspecified() && b.weight <= kMaxWeight;
    (b.address.is_ipv4() ? has_ipv4 : has_ipv6) = true;
  }
  bool has(net::Family family) const { return family == net::Family::kIpv4 ? has_ipv4 : has_ipv6; }
};

// Suggestions compare a name with every pool's: for these many missing pools, and among these many.
constexpr size_t kMaxSuggestions = 100;
constexpr size_t kMaxCompared = 10'000;

class ServicesCheck {
 public:
  explicit ServicesCheck(const Config& config) : config_(config) {}

  std::vector<Violation> run() {
    collect_claims();
    for (const auto& [name, pool] : config_.pools) check_pool(name, pool);
    check_counts();
    for (const auto& [name, service] : config_.services) check_service(name, service);
    check_overlaps();
    check_no_listener();
    return std::move(out_);
  }

 private:
  void collect_claims() {
    for (const auto& [name, service] : config_.services)
      for (size_t i = 0; i < service.listen.size(); ++i) claims_.push_back({&service.listen[i], &service, i});
    // Stable: of two that overlap the one of the later service is told.
    std::stable_sort(claims_.begin(), claims_.end(), [](const Claim& a, const Claim& b) {
      return std::tuple(a.group(), a.listener->first) < std::tuple(b.group(), b.listener->first);
    });
  }

  const Claim* claim_of(const Address& address) const {
    const auto it = std::lower_bound(claims_.begin(), claims_.end(), address,
                                     [](const Claim& c, const Address& a) { return c.listener->address < a; });
    return it != claims_.end() && it->listener->address == address ? &*it : nullptr;
  }

  void check_pool(const std::string& name, const Pool& pool) {
    const std::string path = "pools." + shown(name);
    if (!is_valid_name(name)) out_.push_back({path, name_rule("pool name", name)});
    if (pool.name != name) out_.push_back({path, fmt::format("the pool calls itself {}", quote_text(pool.name))});
    std::unordered_map<std::string_view, size_t> names;
    std::map<Address, size_t> addresses;
    PoolFacts& facts = facts_[&pool];
    for (size_t i = 0; i < pool.backends.size(); ++i) {
      const Backend& b = pool.backends[i];
      facts.add(b);
      const std::string at = fmt::format("{}.backends[{}]", path, i);
      check_backend(b, at, out_);
      if (const Claim* claim = b.address.is_unspecified() ? nullptr : claim_of(b.address))
        out_.push_back(
            {at + ".address", fmt::format("{} is where service {} listens ({}): a backend needs an address of its own",
                                          b.address.to_string(), claim->service->name, claim->listener->to_string())});
      if (const auto [first, is_new] = names.emplace(b.name, i); !is_new && !b.name.empty())
        out_.push_back({at + ".name", fmt::format("pool {} has a backend {} already (backends[{}]): rename one",
                                                  shown(name), quote_text(b.name), first->second)});
      if (const auto [first, is_new] = addresses.emplace(b.address, i); !is_new && !b.address.is_unspecified())
        out_.push_back({at + ".address",
                        fmt::format("{} is the address of backend {} already: each backend of a pool needs its own; "
                                    "give one backend more weight instead",
                                    b.address.to_string(), quote_text(pool.backends[first->second].name))});
    }
    backend_count_ += pool.backends.size();
  }

  void check_counts() {
    if (backend_count_ > LB_MAX_BACKENDS)
      out_.push_back(
          {"pools", fmt::format("{} backends in all pools; a node has ids for {}: remove {}", grouped(backend_count_),
                                grouped(LB_MAX_BACKENDS), grouped(backend_count_ - LB_MAX_BACKENDS))});
    if (config_.services.size() > LB_MAX_SERVICES)
      out_.push_back(
          {"services", fmt::format("{} services; a node has room for {}: remove {}", grouped(config_.services.size()),
                                   grouped(LB_MAX_SERVICES), grouped(config_.services.size() - LB_MAX_SERVICES))});
  }

  void check_service(const std::string& name, const Service& s) {
    const std::string path = "services." + shown(name);
    if (!is_valid_name(name)) out_.push_back({path, name_rule("service name", name)});
    if (s.name != name) out_.push_back({path, fmt::format("the service calls itself {}", quote_text(s.name))});
    if (s.listen.empty())
      out_.push_back({path + ".listen", fmt::format("service {} listens nowhere: name at least one listener such as "
                                                    "\"192.0.2.10:443/tcp\"",
                                                    shown(name))});
    for (size_t i = 0; i < s.listen.size(); ++i) check_listener(s.listen[i], fmt::format("{}.listen[{}]", path, i));
    if (s.prefix4 < 1 || s.prefix4 > kMaxPrefix4)
      out_.push_back({path + ".source-prefix", fmt::format("IPv4 prefix length {} must be 1 to 32", s.prefix4)});
    if (s.prefix6 < 1 || s.prefix6 > kMaxPrefix6)
      out_.push_back({path + ".source-prefix", fmt::format("IPv6 prefix length {} must be 1 to 128", s.prefix6)});
    const bool size_ok = s.table_size >= kMinTableSize && s.table_size <= kMaxTableSize && is_prime(s.table_size);
    if (!size_ok) out_.push_back({path + ".table-size", table_size_rule(s.table_size)});
    check_pool_of(s, path, size_ok);
  }

  void check_listener(const Listener& l, const std::string& path) {
    if (const auto why = why_no_host(l.address); !why.empty())
      out_.push_back({path, fmt::format("{} {}: clients cannot send to it", l.address.to_string(), why)});
    if (l.first > l.last || (l.first == 0 && !l.is_any()))
      out_.push_back({path, fmt::format("ports {}-{} must be 1 to 65535, the lower first", l.first, l.last)});
    if (l.proto != net::IpProto::kTcp && l.proto != net::IpProto::kUdp)
      out_.push_back({path, fmt::format("protocol {} must be tcp or udp", net::to_string(l.proto))});
  }

  void check_pool_of(const Service& s, const std::string& path, bool size_ok) {
    const auto pool = config_.pools.find(s.pool);
    if (pool == config_.pools.end()) return tell_missing_pool(s, path);
    const PoolFacts& facts = facts_.at(&pool->second);
    if (pool->second.backends.empty() || !facts.is_sound) return;
    if (s.forward == Forward::kDsr) check_dsr(s, facts, path);
    if (!size_ok) return;
    if (auto message = tables_.why_too_small(pool->second, s.table_size); !message.empty())
      out_.push_back({path + ".table-size", std::move(message)});
  }

  void tell_missing_pool(const Service& s, const std::string& path) {
    if (pool_names_.empty())
      for (const auto& [name, pool] : config_.pools) pool_names_.push_back(name);
    const bool compare = ++suggestions_ <= kMaxSuggestions && pool_names_.size() <= kMaxCompared;
    const std::string_view near = compare ? nearest_word(s.pool, pool_names_) : std::string_view();
    const std::string there = pool_names_.empty() ? "there are no pools: add it under `pools`"
                              : near.empty()      ? fmt::format("there are: {}", join_words(pool_names_, 10))
                                                  : fmt::format("did you mean {}?", near);
    out_.push_back({path + ".pool", fmt::format("there is no pool {}; {}", quote_text(s.pool), there), s.pool});
  }

  void check_dsr(const Service& s, const PoolFacts& facts, const std::string& path) {
    for (size_t i = 0; i < s.listen.size(); ++i) {
      const Address& address = s.listen[i].address;
      if (address.is_unspecified() || facts.has(address.family())) continue;
      out_.push_back({fmt::format("{}.listen[{}]", path, i),
                      fmt::format("{}: forward dsr keeps the packet as it is, and pool {} has no {} backend: use "
                                  "forward ipip, or add one",
                                  s.listen[i].to_string(), s.pool, address.is_ipv4() ? "IPv4" : "IPv6")});
    }
  }

  // Sorted by group and first port: the claim that reaches furthest so far overlaps the next one or none does.
  void check_overlaps() {
    const Claim* reach = nullptr;
    for (const Claim& c : claims_) {
      const bool same = reach != nullptr && reach->group() == c.group();
      if (same && c.listener->first <= reach->listener->last && !c.listener->address.is_unspecified())
        tell_overlap(*reach, c);
      if (!same || c.listener->last > reach->listener->last) reach = &c;
    }
  }

  void tell_overlap(const Claim& first, const Claim& second) {
    const std::string other = first.service == second.service
                                  ? fmt::format("listen[{}] of the same service", first.index)
                                  : fmt::format("service {}", shown(first.service->name));
    out_.push_back({second.path(), fmt::format("{} overlaps {} of {}: a packet can have one service only",
                                               second.listener->to_string(), first.listener->to_string(), other)});
  }

  // What no listener wants is the address's, not a service's. Each two services that disagree are told once.
  void check_no_listener() {
    std::set<std::pair<const Service*, const Service*>> told;
    const Claim* first = nullptr;
    for (const Claim& c : claims_) {
      if (first == nullptr || first->listener->address != c.listener->address) first = &c;
      if (first->service->on_no_listener == c.service->on_no_listener || c.listener->address.is_unspecified()) continue;
      if (told.size() >= kMaxSuggestions || !told.emplace(first->service, c.service).second) continue;
      tell_no_listener(*c.service, *first->service, c.listener->address);
      tell_no_listener(*first->service, *c.service, c.listener->address);
    }
  }

  void tell_no_listener(const Service& s, const Service& other, const Address& shared) {
    out_.push_back({fmt::format("services.{}.on-no-listener", shown(s.name)),
                    fmt::format("{} here, {} in service {}, which listens on {} too: what no listener wants there gets "
                                "one answer; say the same in both, in one change (`config apply`) or in `defaults`",
                                to_string(s.on_no_listener), to_string(other.on_no_listener), shown(other.name),
                                shared.to_string())});
  }

  const Config& config_;
  std::vector<Violation> out_;
  std::vector<Claim> claims_;
  TableRule tables_;
  std::unordered_map<const Pool*, PoolFacts> facts_;
  std::vector<std::string_view> pool_names_;
  size_t suggestions_ = 0;
  size_t backend_count_ = 0;
};

}  // namespace

bool is_valid_name(std::string_view name) noexcept {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto is_inner = [&](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
  return !name.empty() && name.size() <= 63 && is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(), is_inner);
}

std::string name_rule(std::string_view what, std::string_view name) {
  return fmt::format("{} {} must be 1 to 63 of a-z 0-9 . _ - and start with a letter or digit", what, quote_text(name));
}

std::vector<Violation> validate_services(const Config& config) {
  return ServicesCheck(config).run();
}

std::vector<Violation> validate(const Config& config) {
  std::vector<Violation> out = validate_daemon(config.daemon);
  std::vector<Violation> rest = validate_services(config);
  out.insert(out.end(), std::make_move_iterator(rest.begin()), std::make_move_iterator(rest.end()));
  return out;
}

}  // namespace lb::model
