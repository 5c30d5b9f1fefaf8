#include "ctl/announcer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ctl/log.h"

namespace lb::ctl {
namespace {

// Why this service does not want the address; empty: it does.
std::string why_not_announced(const model::Service& service, net::Family family, const model::Overlay& overlay,
                              const TakesFlows& takes_flows) {
  if (overlay.withdrawn.contains(service.name)) return fmt::format("service {} is withdrawn", service.name);
  if (takes_flows(service, family)) return {};
  return fmt::format("service {} has no eligible backend in pool {}", service.name, service.pool);
}

std::set<net::Address> addresses_of(const model::Service& service) {
  std::set<net::Address> addresses;
  for (const net::Listener& l : service.listen)
    if (!l.address.is_unspecified()) addresses.insert(l.address);
  return addresses;
}

bool takes_new_flows(const Controller& control, const model::Service& service, net::Family family) {
  const model::Snapshot& snapshot = control.snapshot();
  const lb_service* compiled = service_at(snapshot, net::raw(control.ids().service(service.name)));
  if (compiled == nullptr) return false;
  // A table with any backend has one in each slot, so the first one tells.
  return std::ranges::any_of(snapshot.table_of(*compiled, family), [](uint16_t id) { return id != 0; });
}

void log_vip(const net::Address& address, const Vip& vip) {
  const std::string name = address.to_string();
  if (vip.announced && vip.wanted)
    log(LogLevel::kInfo, "announced", {{"vip", name}});
  else
    log(vip.announced || vip.wanted ? LogLevel::kError : LogLevel::kWarning,
        vip.announced ? "not_withdrawn" : "withdrawn", {{"vip", name}, {"why", vip.why}});
}

}  // namespace

Vips judge_vips(const model::Config& config, const model::Overlay& overlay, const TakesFlows& takes_flows) {
  Vips vips;
  for (const auto& [name, service] : config.services) {
    if (service.announce == model::Announce::kOff) continue;
    for (const net::Address& address : addresses_of(service)) {
      Vip& vip = vips[address];
      vip.services.push_back(name);
      if (vip.wanted) continue;
      const std::string why = why_not_announced(service, address.family(), overlay, takes_flows);
      vip.wanted = why.empty();
      vip.why = why.empty() || vip.why.empty() ? why : vip.why + "; " + why;
    }
  }
  if (!overlay.node_drain) return vips;
  for (auto& [address, vip] : vips) {
    vip.wanted = false;
    vip.why = "the node is drained";
  }
  return vips;
}

void Announcer::update() {
  Vips now = judge_vips(control_.config(), control_.overlay(), [this](const model::Service& s, net::Family family) {
    return takes_new_flows(control_, s, family);
  });
  if (is_stopping_) {
    for (auto& [address, vip] : now) {
      vip.wanted = false;
      vip.why = "lbd is stopping";
    }
  }
  use(std::move(now));
}

void Announcer::use(Vips now) {
  has_failed_ = false;
  if (now.empty()) {
    device_.close();
  } else {
    std::set<net::Address> wanted;
    for (const auto& [address, vip] : now)
      if (vip.wanted) wanted.insert(address);
    const auto failed = device_.announce(wanted);
    has_failed_ = !failed.empty();
    for (auto& [address, vip] : now) {
      const auto fault = failed.find(address);
      vip.announced = vip.wanted == (fault == failed.end());
      if (fault != failed.end()) vip.why = fault->second;
    }
  }
  for (const auto& [address, vip] : now) {
    const auto before = vips_.find(address);
    if (before == vips_.end() || before->second.announced != vip.announced || before->second.why != vip.why)
      log_vip(address, vip);
  }
  for (const auto& [address, vip] : vips_)
    if (vip.announced && !now.contains(address))
      log(LogLevel::kInfo, "withdrawn", {{"vip", address.to_string()}, {"why", "no service announces it"}});
  vips_ = std::move(now);
}

void Announcer::tick() {
  if (has_failed_ || (!vips_.empty() && !device_.is_whole())) update();
}

bool Announcer::withdraw_all() {
  const bool any = std::ranges::any_of(vips_, [](const auto& entry) { return entry.second.announced; });
  is_stopping_ = true;
  update();
  return any;
}

}  // namespace lb::ctl
