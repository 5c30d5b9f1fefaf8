#include "dataplane/host/kernel_interface.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

namespace lb::host {
namespace {

constexpr uint32_t kMergeFlags = ETH_FLAG_LRO | ETH_FLAG_RXVLAN;

// One ioctl about one interface.
class Request {
 public:
  explicit Request(const std::string& name) : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    name.copy(request_.ifr_name, IFNAMSIZ - 1);
  }
  ~Request() {
    if (fd_ >= 0) close(fd_);
  }
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  bool call(unsigned long code) { return ioctl(fd_, code, &request_) == 0; }
  bool ethtool(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return call(SIOCETHTOOL);
  }
  ifreq& answer() { return request_; }

 private:
  int fd_;
  ifreq request_ = {};
};

bool get_value(const std::string& name, uint32_t command, uint32_t& value) {
  ethtool_value v = {command, 0};
  if (!Request(name).ethtool(&v)) return false;
  value = v.data;
  return true;
}

void set_value(const std::string& name, uint32_t command, uint32_t value) {
  ethtool_value v = {command, value};
  (void)Request(name).ethtool(&v);
}

std::optional<ethtool_channels> channels_of(const std::string& name) {
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (!Request(name).ethtool(&channels) || channels.combined_count + channels.rx_count == 0) return std::nullopt;
  return channels;
}

uint32_t most_of(const ethtool_channels& channels) {
  return channels.max_combined > 0 ? channels.max_combined : channels.max_rx;
}

void read_queues(KernelInterface& interface) {
  if (const auto channels = channels_of(interface.name)) {
    interface.combined = channels->max_combined > 0;
    interface.queues = channels->combined_count + channels->rx_count;
    interface.most_queues = std::max(most_of(*channels), interface.queues);
    return;
  }
  // Drivers without channels: what the kernel shows of the device.
  uint32_t found = 0;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/net/" + interface.name + "/queues", none))
    if (entry.path().filename().string().starts_with("rx-")) found++;
  interface.queues = std::max(found, 1u);
}

net::Error query_error(const std::string& name) {
  if (errno == ENODEV) return {net::Code::kNotFound, fmt::format("no network interface '{}' here", name)};
  const net::Code code = errno == EPERM || errno == EACCES ? net::Code::kPermission : net::Code::kIo;
  return {code, fmt::format("network interface {}: {}", name, strerror(errno))};
}

}  // namespace

bool interface_exists(const std::string& name) {
  return if_nametoindex(name.c_str()) != 0;
}

std::vector<std::string> interface_names() {
  std::vector<std::string> names;
  struct if_nameindex* all = ::if_nameindex();
  for (const struct if_nameindex* i = all; i != nullptr && i->if_name != nullptr; i++) names.emplace_back(i->if_name);
  if (all != nullptr) if_freenameindex(all);
  return names;
}

net::Result<KernelInterface> query_interface(const std::string& name) {
  KernelInterface found;
  found.name = name;
  Request request(name);
  if (!request.call(SIOCGIFMTU)) return query_error(name);
  found.mtu = static_cast<uint16_t>(std::clamp(request.answer().ifr_mtu, 0, 65535));
  if (!request.call(SIOCGIFFLAGS)) return query_error(name);
  found.up = (request.answer().ifr_flags & IFF_UP) != 0;
  if (!request.call(SIOCGIFHWADDR)) return query_error(name);
  memcpy(found.mac.bytes.data(), request.answer().ifr_hwaddr.sa_data, found.mac.bytes.size());
  read_queues(found);
  return found;
}

std::optional<uint32_t> most_queues(const std::string& name) {
  const auto channels = channels_of(name);
  if (!channels) return std::nullopt;
  return most_of(*channels);
}

std::string channels_command(const KernelInterface& interface, uint32_t queues) {
  return interface.combined ? fmt::format("ethtool -L {} combined {}", interface.name, queues)
                            : fmt::format("ethtool -L {} rx {} tx {}", interface.name, queues, queues);
}

std::string no_tun(const std::string& path, const std::string& why) {
  return fmt::format("the kernel's side of the port needs {}, which is not there ({}); load it: modprobe tun", path,
                     why);
}

std::string no_tap_of_ours(const std::string& name) {
  return fmt::format("there is an interface {} that is no TAP of lbd's kind; rename it, or remove it: ip link del {}",
                     name, name);
}

bool interface_link_up(const std::string& name) {
  Request request(name);
  if (!request.call(SIOCGIFFLAGS)) return false;
  return (request.answer().ifr_flags & IFF_UP) != 0 && (request.answer().ifr_flags & IFF_RUNNING) != 0;
}

// A line an interface: "  eth0: " and 16 numbers: bytes, packets, errs, drop and four more received, as many sent.
std::optional<uint64_t> interface_tx_dropped(const std::string& name) {
  constexpr int kSentDrop = 8 + 3;
  std::ifstream file("/proc/thread-self/net/dev");
  for (std::string line; std::getline(file, line);) {
    const size_t start = line.find_first_not_of(' '), colon = line.rfind(':');
    if (colon == std::string::npos || line.substr(start, colon - start) != name) continue;
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t value = 0;
    for (int i = 0; i <= kSentDrop; i++) numbers >> value;
    if (numbers) return value;
  }
  return std::nullopt;
}

net::Status set_interface_mac(const std::string& name, const net::Mac& mac) {
  const auto before = query_interface(name);
  if (!before) return before.error();
  if (before->mac == mac) return {};
  Request request(name);
  request.answer().ifr_hwaddr.sa_family = ARPHRD_ETHER;
  memcpy(request.answer().ifr_hwaddr.sa_data, mac.bytes.data(), mac.bytes.size());
  if (!request.call(SIOCSIFHWADDR)) return query_error(name);
  return {};
}

net::Status set_interface_mtu(const std::string& name, uint16_t mtu) {
  Request request(name);
  if (!request.call(SIOCGIFMTU)) return query_error(name);
  if (request.answer().ifr_mtu == mtu) return {};
  request.answer().ifr_mtu = mtu;
  if (!request.call(SIOCSIFMTU)) return query_error(name);
  return {};
}

net::Status set_interface_up(const std::string& name) {
  Request request(name);
  if (!request.call(SIOCGIFFLAGS)) return query_error(name);
  if ((request.answer().ifr_flags & IFF_UP) != 0) return {};
  request.answer().ifr_flags = static_cast<int16_t>(request.answer().ifr_flags | IFF_UP);
  if (!request.call(SIOCSIFFLAGS)) return query_error(name);
  return {};
}

OffloadsOff::OffloadsOff(const std::string& name) : name_(name) {
  uint32_t gro = 0, flags = 0;
  gro_before_ = get_value(name, ETHTOOL_GGRO, gro) && gro != 0;
  if (gro_before_) set_value(name, ETHTOOL_SGRO, 0);
  if (!get_value(name, ETHTOOL_GFLAGS, flags)) return;
  flags_before_ = flags & kMergeFlags;
  if (flags_before_ != 0) set_value(name, ETHTOOL_SFLAGS, flags & ~kMergeFlags);
}

OffloadsOff::~OffloadsOff() {
  if (gro_before_) set_value(name_, ETHTOOL_SGRO, 1);
  uint32_t flags = 0;
  if (flags_before_ != 0 && get_value(name_, ETHTOOL_GFLAGS, flags))
    set_value(name_, ETHTOOL_SFLAGS, flags | flags_before_);
}

}  // namespace lb::host
