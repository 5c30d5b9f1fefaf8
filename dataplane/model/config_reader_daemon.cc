// The daemon's section of the document, with those of both engines.
#include <fmt/format.h>

#include "dataplane/model/config_reader.h"
#include "dataplane/model/text_rules.h"

namespace lb::model {

void ConfigReader::read_daemon(const Entry& section) {
  has_daemon_ = true;
  if (!is_map(*section.value, section.path, "keys such as engine and dpdk")) return;
  Daemon& d = config_.daemon;
  for (const Entry& e : entries(*section.value, section.path, Section::kDaemon)) {
    if (e.key == "engine") d.engine = text(e).value_or("");
    if (e.key == "socket") d.socket = text(e).value_or("");
    if (e.key == "state-dir") d.state_dir = text(e).value_or("");
    if (e.key == "hash-key-file") d.hash_key_file = text(e).value_or("");
    if (e.key == "hash-version") d.hash_version = number(e, 0, UINT32_MAX).value_or(0);
    if (e.key == "flows") d.flows = number(e, 0, kMaxFlows).value_or(kDefaultFlows);
    if (e.key == "orphan-after") d.orphan_after_s = read_orphan_after(e);
    if (e.key == "shutdown-delay") d.shutdown_delay_s = read_shutdown_delay(e);
    if (e.key == "access") read_access(e);
    if (e.key == "dpdk") read_dpdk(e);
    if (e.key == "xdp") read_xdp(e);
  }
}

void ConfigReader::read_dpdk(const Entry& section) {
  if (!is_map(*section.value, section.path, "workers, ports, huge-pages and idle")) return;
  for (const Entry& e : entries(*section.value, section.path, Section::kDpdk)) {
    if (e.key == "workers") read_workers(e);
    if (e.key == "ports") read_ports(e);
    if (e.key == "idle") config_.daemon.idle = choice(e, Choice::kIdle, parse_idle).value_or(Idle::kSleep);
    if (e.key == "huge-pages")
      config_.daemon.huge_pages = choice(e, Choice::kHugePages, parse_huge_pages).value_or(HugePages::kAuto);
  }
}

void ConfigReader::read_workers(const Entry& e) {
  if (!is_list(*e.value, e.path, "CPU cores, such as [2, 3]")) return;
  for (size_t i = 0; i < e.value->children.size(); ++i) {
    const auto core = number(e.value->children[i], fmt::format("{}[{}]", e.path, i), "core", 0, kMaxCore);
    config_.daemon.workers.push_back(core.value_or(kMaxCore + 1));
  }
}

void ConfigReader::read_ports(const Entry& e) {
  if (!is_list(*e.value, e.path, "ports, such as [{name: wan, device: eth1}]")) return;
  for (size_t i = 0; i < e.value->children.size(); ++i)
    read_port(e.value->children[i], fmt::format("{}[{}]", e.path, i));
}

void ConfigReader::read_port(const YamlNode& node, const std::string& path) {
  Port& port = config_.daemon.ports.emplace_back();
  if (!is_map(node, path, "name, device and mtu")) return;
  const auto found_keys = entries(node, path, Section::kPort);
  for (const Entry& e : found_keys) {
    if (e.key == "name") port.name = text(e).value_or("");
    if (e.key == "device") port.device = text(e).value_or("");
    if (e.key != "mtu") continue;
    if (const auto mtu = number(e, kMinMtu, kMaxMtu)) port.mtu = static_cast<uint16_t>(*mtu);
  }
  require(node, found_keys, path, {"name", "device"});
}

void ConfigReader::read_xdp(const Entry& section) {
  if (!is_map(*section.value, section.path, "interfaces")) return;
  for (const Entry& e : entries(*section.value, section.path, Section::kXdp)) {
    if (e.key != "interfaces" || !is_list(*e.value, e.path, "interfaces, such as [{name: eth0, mode: native}]"))
      continue;
    for (size_t i = 0; i < e.value->children.size(); ++i)
      read_interface(e.value->children[i], fmt::format("{}[{}]", e.path, i));
  }
}

void ConfigReader::read_interface(const YamlNode& node, const std::string& path) {
  XdpInterface& interface = config_.daemon.interfaces.emplace_back();
  if (!is_map(node, path, "name and mode")) return;
  const auto found_keys = entries(node, path, Section::kInterface);
  for (const Entry& e : found_keys) {
    if (e.key == "name") interface.name = text(e).value_or("");
    if (e.key == "mode") interface.mode = choice(e, Choice::kXdpMode, parse_xdp_mode).value_or(XdpMode::kNative);
  }
  require(node, found_keys, path, {"name"});
}

void ConfigReader::read_access(const Entry& section) {
  if (!is_map(*section.value, section.path, "operator and viewer")) return;
  for (const Entry& e : entries(*section.value, section.path, Section::kAccess)) {
    if (e.key == "operator") config_.daemon.access.operators = read_names(e);
    if (e.key == "viewer") config_.daemon.access.viewers = read_names(e);
  }
}

std::vector<std::string> ConfigReader::read_names(const Entry& e) {
  std::vector<std::string> names;
  if (!is_list(*e.value, e.path, "users and groups, such as [root, \"%lbd\"]")) return names;
  for (size_t i = 0; i < e.value->children.size(); ++i)
    names.push_back(text(e.value->children[i], fmt::format("{}[{}]", e.path, i), "a user or a %group").value_or(""));
  return names;
}

// `never` is 0. A refused value leaves the default, which no other rule is judged by.
uint32_t ConfigReader::read_orphan_after(const Entry& e) {
  const uint32_t otherwise = Daemon().orphan_after_s;
  const auto word = text(e);
  if (!word) return otherwise;
  if (*word == "never") return 0;
  const auto seconds = parse_duration(*word);
  if (!seconds)
    refuse(*e.value, e.path,
           fmt::format("{} must be a time with its unit, such as 60s, 5m or 1h, or `never`", quote_text(*word)));
  else if (*seconds < kMinOrphanAfter || *seconds > kMaxOrphanAfter)
    refuse(*e.value, e.path,
           fmt::format("{} is out of range: it must be 1s to 7d, or `never` for programs that go on without lbd for "
                       "ever",
                       quote_text(*word)));
  else
    return static_cast<uint32_t>(*seconds);
  return otherwise;
}

uint32_t ConfigReader::read_shutdown_delay(const Entry& e) {
  const uint32_t otherwise = Daemon().shutdown_delay_s;
  const auto word = text(e);
  if (!word) return otherwise;
  const auto seconds = parse_duration(*word);
  if (!seconds)
    refuse(*e.value, e.path,
           fmt::format("{} must be a time with its unit, such as 10s or 1m; 0s: none", quote_text(*word)));
  else if (*seconds > kMaxShutdownDelay)
    refuse(*e.value, e.path, fmt::format("{} is out of range: it must be 0s to 1h", quote_text(*word)));
  else
    return static_cast<uint32_t>(*seconds);
  return otherwise;
}

}  // namespace lb::model
