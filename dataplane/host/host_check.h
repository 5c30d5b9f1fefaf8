// Whether this machine can be what the daemon's configuration says: every reason why a start would be refused, in the
// start's own words, as far as it shows without touching anything. Nothing is changed, no device is opened, and an lbd
// that runs is not disturbed; what it has counts as there.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/host/kernel_interface.h"
#include "dataplane/model/config.h"
#include "dataplane/model/owned_filter.h"
#include "dataplane/net/pci_device.h"

namespace lb::host {

// Where facts come from: other folders in tests; functions for what needs rtnetlink or BPF, which others have.
struct Machine {
  std::string sysfs = "/sys", proc = "/proc", dev = "/dev", modules = "/lib/modules";
  std::function<std::optional<uint32_t>(const std::string& interface)> most_queues = host::most_queues;
  // None: it is not known. Not set: is not judged.
  std::function<std::optional<MtuRange>(const std::string& interface)> mtu_range = {};
  std::function<model::XdpUse(const std::string& interface)> xdp_use = {};
  std::function<std::string()> why_no_xdp = {};  // of the kernel; empty: it can run engine xdp
};

struct Finding {
  enum class Kind : uint8_t {
    kProblem,  // a start is refused
    kNote,     // lbd starts, but not as well as it could, or it could not be judged
  };
  Kind kind = Kind::kProblem;
  std::string path;  // in the configuration: daemon.dpdk.ports[0].device
  std::string message;
};

// In the order of the configuration. REQUIRES: validate_daemon() found nothing.
std::vector<Finding> check_host(const model::Daemon& daemon, const Machine& machine);

}  // namespace lb::host
