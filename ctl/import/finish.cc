#include "ctl/import/finish.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate.h"

namespace lb::importing {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr int kMaxRounds = 50;  // each takes out all that breaks a rule; what it leaves may break another

// `name`, or with a number behind it when it is there already.
std::string take_name(std::set<std::string>& used, std::string name) {
  std::string wished = name;
  for (size_t i = 2; !used.insert(name).second; ++i) {
    const std::string suffix = fmt::format("-{}", i);
    name = wished.substr(0, kMaxNameBytes - suffix.size()) + suffix;
  }
  return name;
}

std::string settle_name(std::set<std::string>& used, const std::string& wished, bool named, const Source& at,
                        std::vector<Remark>& remarks) {
  const std::string valid = valid_name(wished);
  std::string name = take_name(used, valid);
  if (named && name != wished)
    remarks.push_back({at, fmt::format("{} is called {} here: {}", printable_line(wished), name,
                                       name == valid ? "names are of a-z 0-9 . _ -" : "that name is taken")});
  return name;
}

// The number of the last "[3]" of a path; 0: it has none.
size_t last_index(std::string_view path) {
  const size_t open = path.rfind('[');
  unsigned index = 0;
  if (open == std::string_view::npos) return 0;
  return read_number(path.substr(open + 1, path.find(']', open) - open - 1), index) ? index : 0;
}

// "fe" of "fe.backends[2].weight": the longest known name that the path starts with. Names hold dots themselves.
std::optional<size_t> named_at(std::string_view path, const std::map<std::string, size_t, std::less<>>& known) {
  for (;;) {
    if (const auto it = known.find(path); it != known.end()) return it->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string_view::npos) return std::nullopt;
    path = path.substr(0, cut);
  }
}

// Files in the order in which they come up first.
void sort_by_place(std::vector<Remark>& remarks) {
  std::map<std::string, size_t> files;
  for (const Remark& r : remarks) files.emplace(r.at.file, files.size());
  std::stable_sort(remarks.begin(), remarks.end(), [&](const Remark& a, const Remark& b) {
    return std::pair(files[a.at.file], a.at.line) < std::pair(files[b.at.file], b.at.line);
  });
}

}  // namespace

std::string valid_name(std::string_view wished) {
  std::string name;
  for (const char c : lower(wished)) {
    const bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    const bool later = c == '.' || c == '_' || c == '-';
    if (name.empty() && !first) continue;
    name += first || later ? c : '-';
    if (name.size() == kMaxNameBytes) break;
  }
  return name.empty() ? "unnamed" : name;
}

void Finish::name_all() {
  std::set<std::string> pools, services;
  for (DraftPool& pool : draft_.pools_) {
    pool.name = settle_name(pools, pool.name, pool.named, pool.at, pool.remarks);
    std::set<std::string> servers;
    for (DraftServer& s : pool.servers)
      s.backend.name =
          settle_name(servers, s.backend.name, s.backend.name != s.backend.address.to_string(), s.at, s.remarks);
  }
  for (DraftService& s : draft_.services_)
    s.service.name = settle_name(services, s.service.name, s.named, s.at, s.remarks);
}

// A usual weight there is 1, here 100: where all are alike none is written.
void Finish::settle_weights(DraftPool& pool) {
  uint32_t most = 0;
  bool alike = true;
  for (const DraftServer& s : pool.servers) {
    most = std::max(most, s.backend.weight);
    alike &= s.backend.weight <= 1;
  }
  const uint32_t divisor = (most + model::kMaxWeight - 1) / model::kMaxWeight;
  for (DraftServer& s : pool.servers) {
    uint32_t& weight = s.backend.weight;
    if (alike && weight == 1) weight = model::Backend().weight;
    if (divisor > 1 && weight > 0) {
      s.remarks.push_back(
          {s.at, fmt::format("weights are 0 to {}: those of the pool are divided by {}", model::kMaxWeight, divisor)});
      weight = std::max(weight / divisor, 1u);
    }
  }
}

void Finish::judge_port(const DraftService& service, DraftServer& server) {
  if (!server.port) return;
  const auto& listen = service.service.listen;
  const auto other = [&](const net::Listener& l) { return !l.is_exact() || l.first != *server.port; };
  const auto it = std::find_if(listen.begin(), listen.end(), other);
  if (it == listen.end()) return;
  const std::string reason = fmt::format(
      "dsr and ipip keep the port: what comes to {} arrives at {}, not at {}: the server has to listen there",
      it->to_string(), it->is_exact() ? fmt::format("port {}", it->first) : "its own port", *server.port);
  server.remarks.push_back({server.at, reason});
  draft_.miss(server.at, reason);
}

void Finish::judge_ports() {
  for (const DraftService& service : draft_.services_) {
    DraftPool* pool = draft_.find_pool(service.pool);
    if (pool == nullptr) continue;
    for (DraftServer& server : pool->servers) judge_port(service, server);
  }
}

// Services get the names of their pools.
void Finish::join() {
  for (size_t i = 0; i < draft_.pools_.size(); ++i) pool_index_[draft_.pools_[i].name] = i;
  for (size_t i = 0; i < draft_.services_.size(); ++i) {
    DraftService& s = draft_.services_[i];
    service_index_[s.service.name] = i;
    const DraftPool* pool = draft_.find_pool(s.pool);
    s.service.pool = pool == nullptr ? "POOL" : pool->name;
    live_.push_back(pool != nullptr && !s.service.listen.empty());
  }
}

model::Config Finish::config() const {
  model::Config config;
  for (const DraftPool& draft : draft_.pools_) {
    model::Pool& pool = config.pools[draft.name];
    pool.name = draft.name;
    for (const DraftServer& s : draft.servers) pool.backends.push_back(s.backend);
  }
  for (size_t i = 0; i < live_.size(); ++i)
    if (live_[i]) config.services[draft_.services_[i].service.name] = draft_.services_[i].service;
  return config;
}

void Finish::drop_service(size_t index, const std::string& message) {
  live_[index] = false;
  DraftService& s = draft_.services_[index];
  const std::string reason = "left as a comment: " + message;
  s.remarks.push_back({s.at, reason});
  draft_.miss(s.at, reason);
}

void Finish::drop_listener(size_t service, size_t index, const std::string& message) {
  DraftService& s = draft_.services_[service];
  auto& listen = s.service.listen;
  if (listen.size() == 1 || index >= listen.size()) return drop_service(service, message);
  const std::string reason = fmt::format("left out: {}: {}", listen[index].to_string(), message);
  s.remarks.push_back({s.at, reason});
  draft_.miss(s.at, reason);
  listen.erase(listen.begin() + static_cast<std::ptrdiff_t>(index));
}

void Finish::drop_server(DraftPool& pool, size_t index, const std::string& message) {
  const Source at = pool.servers[index].at;
  const std::string reason = "left out: " + message;
  pool.remarks.push_back({at, reason});
  draft_.miss(at, reason);
  pool.servers.erase(pool.servers.begin() + static_cast<std::ptrdiff_t>(index));
}

// RETURNS: whether something was taken out.
bool Finish::remove_broken(std::string_view path, const std::string& message) {
  constexpr std::string_view kServices = "services.", kPools = "pools.";
  const size_t index = last_index(path);
  if (path.starts_with(kServices)) {
    const auto service = named_at(path.substr(kServices.size()), service_index_);
    if (!service || !live_[*service]) return false;
    if (path.find("].") == std::string_view::npos && path.ends_with(']'))
      drop_listener(*service, index, message);
    else
      drop_service(*service, message);
    return true;
  }
  if (!path.starts_with(kPools)) return false;
  const auto pool = named_at(path.substr(kPools.size()), pool_index_);
  if (!pool || path.find(".backends[") == std::string_view::npos) return false;
  if (index >= draft_.pools_[*pool].servers.size()) return false;
  drop_server(draft_.pools_[*pool], index, message);
  return true;
}

// From the last index to the first: what is taken out moves only what was judged already; one rule for each thing.
bool Finish::obey_rules() {
  for (int round = 0; round < kMaxRounds; ++round) {
    auto violations = model::validate_services(config());
    if (violations.empty()) return true;
    std::stable_sort(violations.begin(), violations.end(),
                     [](const auto& a, const auto& b) { return last_index(a.path) > last_index(b.path); });
    std::set<std::string> seen;
    bool changed = false;
    for (const model::Violation& v : violations) {
      const size_t close = v.path.rfind(']');
      if (!seen.insert(close == std::string::npos ? v.path : v.path.substr(0, close + 1)).second) continue;
      changed |= remove_broken(v.path, printable_line(v.message));
    }
    if (!changed) break;
  }
  return false;
}

Outcome Finish::run() {
  judge_ports();
  name_all();
  for (DraftPool& pool : draft_.pools_) settle_weights(pool);
  join();
  Outcome out;
  const bool obeyed = obey_rules();
  sort_by_place(draft_.left_);
  sort_by_place(draft_.missing_);
  if (!obeyed) {
    const auto violations = model::validate_services(config());
    out.missing.push_back("nothing could be made of it: " +
                          (violations.empty() ? "too much breaks a rule" : violations.front().message));
    draft_.pools_.clear();
    draft_.services_.clear();
    live_.clear();
  }
  out.text = print_draft(draft_.product_, draft_.pools_, draft_.services_, live_, draft_.left_);
  for (const Remark& m : draft_.missing_)
    out.missing.push_back(fmt::format("{}:{}: {}: {}", m.at.file, m.at.line, m.at.text, m.reason));
  out.services = static_cast<size_t>(std::count(live_.begin(), live_.end(), true));
  out.pools = draft_.pools_.size();
  out.left = draft_.left_.size();
  for (const DraftPool& pool : draft_.pools_) {
    out.backends += pool.servers.size();
    out.left += pool.remarks.size();
    for (const DraftServer& s : pool.servers) out.left += s.remarks.size();
  }
  for (const DraftService& s : draft_.services_) out.left += s.remarks.size();
  out.taken = draft_.taken_;
  return out;
}

Outcome Draft::finish() {
  return Finish(*this).run();
}

}  // namespace lb::importing
