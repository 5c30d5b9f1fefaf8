#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate_parts.h"
#include "dataplane/net/abi.h"
#include "dataplane/net/pci_device.h"

namespace lb::model {
namespace {

constexpr size_t kMaxSocketPath = 107;  // sizeof(sockaddr_un::sun_path) - 1
constexpr uint32_t kNobody = 65534;     // /proc/sys/kernel/overflowuid
constexpr size_t kMaxPath = 4095;       // PATH_MAX - 1
constexpr size_t kMaxDeviceString = 255;

// net_ring0, net_pcap0,rx_pcap=in.pcap
bool is_device_string(std::string_view s) {
  return s.starts_with("net_") && s.size() > 4 && s.size() <= kMaxDeviceString &&
         std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// What the kernel takes (dev_valid_name in net/core/dev.c), in ASCII.
bool is_interface_name(std::string_view s) {
  return !s.empty() && s.size() <= kMaxInterfaceName && s != "." && s != ".." &&
         std::all_of(s.begin(), s.end(), [](char c) { return c > ' ' && c < 0x7f && c != '/' && c != ':'; });
}

// What is wrong with a user or %group of daemon.access; empty: nothing.
std::string access_rule(std::string_view entry) {
  const bool group = entry.starts_with('%');
  const std::string_view name = group ? entry.substr(1) : entry;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  // passwd(5) and group(5) separate by `:` and `,`; names of a domain have capitals, blanks inside, `@` and `\\`.
  if (name.empty() || name.size() > kMaxAccessName || !is_one_line(name) || name.find_first_of("%:,/") != name.npos ||
      name.front() == ' ' || name.back() == ' ' || name.front() == '-')
    return fmt::format("{} is no user and no group: write alice or 1001 for a user, \"%lbd\" or \"%990\" for a group",
                       quote_text(entry));
  if (!std::all_of(name.begin(), name.end(), is_digit)) return {};
  uint32_t number = 0;
  const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
  if (parsed.ec == std::errc() && number < UINT32_MAX && number != kNobody && (name.size() == 1 || name[0] != '0'))
    return {};
  if (number == kNobody)
    return fmt::format("{} is what the kernel calls everybody whom it has no number for: it can have no role",
                       quote_text(entry));
  return fmt::format("{} is no number of a {}: it must be 0 to 4294967294, without 0 in front", quote_text(entry),
                     group ? "group" : "user");
}

// A PCI address may be written with and without its domain.
std::string one_name(const std::string& device) {
  return net::parse_pci_address(device).value_or(device);
}

class DaemonCheck {
 public:
  explicit DaemonCheck(const Daemon& daemon) : d_(daemon) {}

  std::vector<Violation> run() {
    check_engine();
    check_path("socket", d_.socket, kMaxSocketPath);
    check_path("state-dir", d_.state_dir, kMaxPath);
    check_path("hash-key-file", d_.hash_key_file, kMaxPath);
    if (d_.hash_version != 1)
      add("hash-version", fmt::format("hash-version {} is not known: this version computes 1", d_.hash_version));
    if (d_.flows != 0 && (d_.flows < kMinFlows || d_.flows > kMaxFlows))
      add("flows",
          fmt::format("flows {} must be 0 (no tracking, hash only) or {} to {}", d_.flows, kMinFlows, kMaxFlows));
    if (d_.orphan_after_s != 0 && (d_.orphan_after_s < kMinOrphanAfter || d_.orphan_after_s > kMaxOrphanAfter))
      add("orphan-after", fmt::format("orphan-after {} s must be 0 (never) or {} to {}", d_.orphan_after_s,
                                      kMinOrphanAfter, kMaxOrphanAfter));
    check_names("access.operator", d_.access.operators);
    check_names("access.viewer", d_.access.viewers);
    check_workers();
    check_ports();
    check_interfaces();
    return std::move(out_);
  }

 private:
  void add(const std::string& key, std::string message) { out_.push_back({"daemon." + key, std::move(message)}); }

  void check_engine() {
    if (!is_dpdk() && !is_xdp())
      add("engine", fmt::format("unknown engine {}; it is one of: dpdk, xdp", quote_text(d_.engine)));
  }

  // The sections of both engines may stand in one file, so that a fleet can share it: what is written must be right,
  // but only the chosen one's must be complete.
  bool is_dpdk() const { return d_.engine == "dpdk"; }
  bool is_xdp() const { return d_.engine == "xdp"; }

  void check_path(const std::string& key, const std::string& path, size_t longest) {
    if (path.empty() || path.front() != '/')
      add(key, fmt::format("{} must be an absolute path such as /run/lbd/lbd.sock", quote_text(path)));
    else if (path.size() > longest)
      add(key, fmt::format("{} has {} bytes; at most {} are possible", quote_text(path), path.size(), longest));
    else if (!is_one_line(path))
      add(key, fmt::format("{} must be printable text on one line", quote_text(path)));
  }

  void check_names(const std::string& key, const std::vector<std::string>& names) {
    if (names.size() > kMaxAccessEntries)
      add(key,
          fmt::format("{} users and groups; at most {} are possible: name a group", names.size(), kMaxAccessEntries));
    std::map<std::string_view, size_t> seen;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string at = fmt::format("{}[{}]", key, i);
      if (const std::string rule = access_rule(names[i]); !rule.empty()) add(at, rule);
      if (const auto [first, is_new] = seen.emplace(names[i], i); !is_new && !names[i].empty())
        add(at, fmt::format("{} is [{}] already: name each once", quote_text(names[i]), first->second));
    }
  }

  void check_workers() {
    if (is_dpdk() && d_.workers.empty()) add("dpdk.workers", "no workers: name at least one CPU core, such as [2]");
    if (d_.workers.size() > LB_MAX_WORKERS)
      add("dpdk.workers", fmt::format("{} workers; at most {} are possible", d_.workers.size(), LB_MAX_WORKERS));
    std::map<uint32_t, size_t> seen;
    for (size_t i = 0; i < d_.workers.size(); ++i) {
      const std::string key = fmt::format("dpdk.workers[{}]", i);
      if (d_.workers[i] > kMaxCore) add(key, fmt::format("core {} must be 0 to {}", d_.workers[i], kMaxCore));
      if (const auto [first, is_new] = seen.emplace(d_.workers[i], i); !is_new)
        add(key, fmt::format("core {} is named twice (workers[{}]): one worker a core", d_.workers[i], first->second));
    }
  }

  void check_ports() {
    if (is_dpdk() && d_.ports.empty())
      add("dpdk.ports", "no ports: name at least one, such as {name: wan, device: eth1}");
    if (d_.ports.size() > LB_MAX_PORTS)
      add("dpdk.ports", fmt::format("{} ports; at most {} are possible", d_.ports.size(), LB_MAX_PORTS));
    std::map<std::string_view, size_t> names;
    std::map<std::string, size_t> devices;
    for (size_t i = 0; i < d_.ports.size(); ++i) {
      const Port& port = d_.ports[i];
      const std::string key = fmt::format("dpdk.ports[{}]", i);
      if (!is_valid_name(port.name)) add(key + ".name", name_rule("port name", port.name));
      check_device(key + ".device", port.device);
      check_twin(key + ".name", port);
      if (port.mtu && (*port.mtu < kMinMtu || *port.mtu > kMaxMtu))
        add(key + ".mtu", fmt::format("mtu {} must be {} to {}", *port.mtu, kMinMtu, kMaxMtu));
      if (const auto [first, is_new] = names.emplace(port.name, i); !is_new && !port.name.empty())
        add(key + ".name",
            fmt::format("{} is the name of ports[{}] already: rename one", quote_text(port.name), first->second));
      if (const auto [first, is_new] = devices.emplace(one_name(port.device), i); !is_new && !port.device.empty())
        add(key + ".device", fmt::format("{} is the device of ports[{}] already: one port a device",
                                         quote_text(port.device), first->second));
    }
  }

  void check_interfaces() {
    if (is_xdp() && d_.interfaces.empty())
      add("xdp.interfaces", "no interfaces: name at least one, such as {name: eth0, mode: native}");
    if (d_.interfaces.size() > LB_MAX_PORTS)
      add("xdp.interfaces", fmt::format("{} interfaces; at most {} are possible", d_.interfaces.size(), LB_MAX_PORTS));
    std::map<std::string_view, size_t> names;
    for (size_t i = 0; i < d_.interfaces.size(); ++i) {
      const std::string& name = d_.interfaces[i].name;
      const std::string key = fmt::format("xdp.interfaces[{}].name", i);
      if (!is_interface_name(name))
        add(key, fmt::format("{} is no interface of the kernel: a name has 1 to {} characters, no blanks, `/` or `:`, "
                             "as in eth0 (`ip link` lists them)",
                             quote_text(name), kMaxInterfaceName));
      if (const auto [first, is_new] = names.emplace(name, i); !is_new && !name.empty())
        add(key, fmt::format("{} is interfaces[{}] already: name each once", quote_text(name), first->second));
    }
  }

  void check_device(const std::string& key, const std::string& device) {
    if (net::parse_pci_address(device) || is_device_string(device) || is_interface_name(device)) return;
    add(key, fmt::format("{} is no device: write a kernel interface (at most {} characters, such as eth1), a PCI "
                         "address (0000:3b:00.0) or a DPDK device string (net_...)",
                         quote_text(device), kMaxInterfaceName));
  }

  void check_twin(const std::string& key, const Port& port) {
    if (!net::parse_pci_address(port.device) || port.twin_name().size() <= kMaxInterfaceName) return;
    add(key, fmt::format(
                 "{} is too long for a port by PCI address: the kernel gets it as {}, and an interface name has at "
                 "most {} characters; use at most {}",
                 quote_text(port.name), port.twin_name(), kMaxInterfaceName, kMaxInterfaceName - kTwinPrefix.size()));
  }

  const Daemon& d_;
  std::vector<Violation> out_;
};

}  // namespace

std::vector<Violation> validate_daemon(const Daemon& daemon) {
  return DaemonCheck(daemon).run();
}

}  // namespace lb::model
