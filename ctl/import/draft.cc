#include "ctl/import/draft.h"

#include <fmt/format.h>

#include <algorithm>

#include "dataplane/model/text_rules.h"

namespace lb::importing {
namespace {

std::string ports_text(unsigned first, unsigned last) {
  if (first == 0) return "*";
  return first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
}

bool is_every_ipv4(std::string_view host) {
  return host.empty() || host == "*" || host == "0.0.0.0";
}

}  // namespace

DraftPool& Draft::pool(const std::string& key, const Source& at) {
  const auto [it, is_new] = pool_index_.emplace(key, pools_.size());
  if (!is_new) return pools_[it->second];
  DraftPool& pool = pools_.emplace_back();
  pool.at = at;
  pool.name = key;
  return pool;
}

DraftPool* Draft::find_pool(const std::string& key) {
  const auto it = pool_index_.find(key);
  return it == pool_index_.end() ? nullptr : &pools_[it->second];
}

DraftService& Draft::add_service(std::string name, const Source& at) {
  DraftService& service = services_.emplace_back();
  service.at = at;
  service.service.name = std::move(name);
  take(at);
  return service;
}

void Draft::leave_all(const Statement& statement, std::string_view reason, std::vector<Remark>* into) {
  (into == nullptr ? left_ : *into).push_back({statement.at, std::string(reason)});
  if (statement.block.empty()) return;
  const std::string inside = fmt::format("as line {}", statement.at.line);
  for (const Statement& inner : statement.block) leave_all(inner, inside, into);
}

std::optional<net::Address> Draft::address_of(const std::string& host) const {
  if (const auto given = given_.hosts.find(lower(host)); given != given_.hosts.end()) return given->second;
  if (host.size() > 64 || !model::is_one_line(host)) return std::nullopt;
  const auto parsed = net::Address::parse(host);
  return parsed ? std::optional(*parsed) : std::nullopt;
}

void Draft::listen(DraftService& service, const Source& at, const std::string& host, unsigned first, unsigned last,
                   net::IpProto proto) {
  const auto add = [&](const net::Address& address) {
    net::Listener listener{.address = address, .proto = proto};
    listener.first = static_cast<uint16_t>(first);
    listener.last = static_cast<uint16_t>(first == 0 ? 65535 : last);
    auto& all = service.service.listen;
    if (std::find(all.begin(), all.end(), listener) == all.end()) all.push_back(listener);
  };
  const auto refuse = [&](std::string reason) {
    service.remarks.push_back({at, reason});
    miss(at, reason);
    service.unplaced.push_back(fmt::format("ADDRESS:{}/{}", ports_text(first, last), net::to_string(proto)));
  };
  const bool v4 = is_every_ipv4(host), v6 = host == "::";
  if (v4 || v6) {
    bool found = false;
    for (const net::Address& address : given_.addresses) {
      if (address.is_ipv4() != v4) continue;
      add(address);
      found = true;
    }
    if (!found)
      return refuse(fmt::format("every {} address of the host is no virtual address: give the service's with --address",
                                v4 ? "IPv4" : "IPv6"));
    return take(at);
  }
  const auto address = address_of(host);
  if (!address)
    return refuse(fmt::format("{} is no address, and names are not looked up: give it with --resolve {}=ADDRESS",
                              model::quote_text(host), printable_line(host)));
  if (address->is_loopback())
    return refuse("a loopback address is reached from this host only: write the service's address");
  add(*address);
  take(at);
}

DraftServer* Draft::add_server(DraftPool& pool, const Source& at, std::string name, const std::string& host,
                               std::optional<uint16_t> port) {
  const auto address = address_of(host);
  if (!address) {
    const std::string reason =
        fmt::format("left out: {} is no address, and names are not looked up: give it with --resolve {}=ADDRESS",
                    model::quote_text(host), printable_line(host));
    pool.remarks.push_back({at, reason});
    miss(at, reason);
    return nullptr;
  }
  if (const auto [first, is_new] = pool.by_address.emplace(*address, pool.servers.size()); !is_new) {
    const std::string reason = fmt::format(
        "left out: {} is server {} already; another port of it cannot be told apart by dsr and ipip: "
        "give that one more weight",
        address->to_string(), printable_line(pool.servers[first->second].backend.name));
    pool.remarks.push_back({at, reason});
    miss(at, reason);
    return nullptr;
  }
  take(at);
  DraftServer& server = pool.servers.emplace_back();
  server.at = at;
  server.backend.name = std::move(name);
  server.backend.address = *address;
  server.backend.weight = 1;
  server.port = port;
  return &server;
}

}  // namespace lb::importing
