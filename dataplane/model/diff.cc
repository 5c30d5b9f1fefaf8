#include "dataplane/model/diff.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <string_view>
#include <utility>

namespace lb::model {
namespace {

template <class T>
std::optional<T> if_changed(const T& from, const T& to) {
  return from == to ? std::nullopt : std::optional<T>(to);
}

SetService set_service(const Service& from, const Service& to) {
  return {.name = to.name,
          .listen = if_changed(from.listen, to.listen),
          .pool = if_changed(from.pool, to.pool),
          .forward = if_changed(from.forward, to.forward),
          .schedule = if_changed(from.schedule, to.schedule),
          .table_size = if_changed(from.table_size, to.table_size),
          .prefix4 = if_changed(from.prefix4, to.prefix4),
          .prefix6 = if_changed(from.prefix6, to.prefix6),
          .on_no_listener = if_changed(from.on_no_listener, to.on_no_listener),
          .announce = if_changed(from.announce, to.announce)};
}

// Backends of a pool that stays: first what goes, so that an address is free before somebody else takes it.
void diff_pool(const Pool& from, const Pool& to, std::vector<Change>& out) {
  std::map<std::string_view, const Backend*> old, now;
  for (const Backend& b : from.backends) old.emplace(b.name, &b);
  for (const Backend& b : to.backends) now.emplace(b.name, &b);
  for (const auto& [name, backend] : old)
    if (!now.contains(name)) out.push_back(RemoveBackend{to.name, std::string(name)});
  for (const auto& [name, backend] : now) {
    const auto it = old.find(name);
    if (it == old.end() || *it->second == *backend) continue;
    out.push_back(SetBackend{.pool = to.name,
                             .name = std::string(name),
                             .address = if_changed(it->second->address, backend->address),
                             .weight = if_changed(it->second->weight, backend->weight),
                             .labels = if_changed(it->second->labels, backend->labels)});
  }
  for (const auto& [name, backend] : now)
    if (!old.contains(name)) out.push_back(AddBackend{to.name, *backend});
}

std::vector<Change> all_changes(const Config& from, const Config& to) {
  std::vector<Change> out;
  for (const auto& [name, service] : from.services)
    if (!to.services.contains(name)) out.push_back(RemoveService{name});
  for (const auto& [name, pool] : to.pools) {
    const auto old = from.pools.find(name);
    if (old == from.pools.end())
      out.push_back(AddPool{pool});
    else
      diff_pool(old->second, pool, out);
  }
  for (const auto& [name, service] : to.services) {
    const auto old = from.services.find(name);
    if (old == from.services.end())
      out.push_back(AddService{service});
    else if (old->second != service)
      out.push_back(set_service(old->second, service));
  }
  for (const auto& [name, pool] : from.pools)
    if (!to.pools.contains(name)) out.push_back(RemovePool{name});
  return out;
}

std::string port_text(const Port& p) {
  return fmt::format("{} on {}{}", p.name, p.device, p.mtu ? fmt::format(" (mtu {})", *p.mtu) : "");
}

std::string ports_text(const std::vector<Port>& ports) {
  std::vector<std::string> texts;
  for (const Port& p : ports) texts.push_back(port_text(p));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::string interfaces_text(const std::vector<XdpInterface>& interfaces) {
  std::vector<std::string> texts;
  for (const XdpInterface& i : interfaces) texts.push_back(fmt::format("{} ({})", i.name, to_string(i.mode)));
  return fmt::format("[{}]", fmt::join(texts, ", "));
}

std::vector<std::string> needs_restart(const Daemon& from, const Daemon& to) {
  std::vector<std::string> out;
  const auto tell = [&](std::string_view key, const auto& old, const auto& now) {
    if (old != now) out.push_back(fmt::format("daemon.{}: {} -> {} needs restart", key, old, now));
  };
  tell("engine", from.engine, to.engine);
  tell("socket", from.socket, to.socket);
  tell("state-dir", from.state_dir, to.state_dir);
  tell("hash-key-file", from.hash_key_file, to.hash_key_file);
  tell("hash-version", from.hash_version, to.hash_version);
  tell("flows", from.flows, to.flows);
  tell("orphan-after", orphan_after_text(from.orphan_after_s), orphan_after_text(to.orphan_after_s));
  tell("shutdown-delay", fmt::format("{}s", from.shutdown_delay_s), fmt::format("{}s", to.shutdown_delay_s));
  tell("access", access_text(from.access), access_text(to.access));
  tell("dpdk.workers", from.workers, to.workers);
  tell("dpdk.huge-pages", to_string(from.huge_pages), to_string(to.huge_pages));
  tell("dpdk.idle", to_string(from.idle), to_string(to.idle));
  tell("dpdk.ports", ports_text(from.ports), ports_text(to.ports));
  tell("xdp.interfaces", interfaces_text(from.interfaces), interfaces_text(to.interfaces));
  return out;
}

}  // namespace

Diff diff(const Config& from, const Config& to) {
  Config old = from, now = to;
  canonicalize(old);
  canonicalize(now);
  Diff out;
  out.changes = all_changes(old, now);
  for (const Change& change : out.changes) {
    out.lines.push_back(to_string(change, &old));
    if (std::holds_alternative<RemoveService>(change)) out.services_removed++;
  }
  out.restart = needs_restart(old.daemon, now.daemon);
  return out;
}

}  // namespace lb::model
