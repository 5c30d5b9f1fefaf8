#include "xdp/port.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "xdp/bpf_util.h"
#include "xdp/interface.h"

namespace lb::xdp {
namespace {

// One ioctl about one interface.
class Request {
 public:
  explicit Request(const std::string& name) : socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    name.copy(request_.ifr_name, IFNAMSIZ - 1);
  }
  bool call(unsigned long code) { return ioctl(socket_.get(), code, &request_) == 0; }
  bool ethtool(void* command) {
    request_.ifr_data = static_cast<char*>(command);
    return call(SIOCETHTOOL);
  }
  const ifreq& answer() const { return request_; }

 private:
  Fd socket_;
  ifreq request_ = {};
};

net::Error query_error(const std::string& name) {
  if (errno == ENODEV) return no_such_interface(name);
  const net::Code code = errno == EPERM || errno == EACCES ? net::Code::kPermission : net::Code::kIo;
  return {code, fmt::format("network interface {}: {}", name, strerror(errno))};
}

void query_queues(const std::string& name, InterfaceFacts& facts) {
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (!Request(name).ethtool(&channels)) return;
  const uint32_t queues = channels.combined_count + channels.rx_count;
  facts.counts_queues = queues > 0;
  facts.queues = std::max(queues, 1u);
}

std::string query_driver(const std::string& name) {
  ethtool_drvinfo driver = {};
  driver.cmd = ETHTOOL_GDRVINFO;
  return Request(name).ethtool(&driver) ? driver.driver : "";
}

}  // namespace

net::Result<InterfaceFacts> query_interface(const std::string& name) {
  InterfaceFacts facts;
  Request request(name);
  if (!request.call(SIOCGIFHWADDR)) return query_error(name);
  if (request.answer().ifr_hwaddr.sa_family != ARPHRD_ETHER)
    return net::Error{
        net::Code::kUnsupported,
        fmt::format("{} is no Ethernet interface: engine xdp forwards between Ethernet interfaces", name)};
  memcpy(facts.mac.bytes.data(), request.answer().ifr_hwaddr.sa_data, facts.mac.bytes.size());
  if (!request.call(SIOCGIFINDEX)) return query_error(name);
  facts.index = static_cast<unsigned>(request.answer().ifr_ifindex);
  if (!request.call(SIOCGIFMTU)) return query_error(name);
  facts.mtu = static_cast<uint16_t>(std::clamp(request.answer().ifr_mtu, 0, 65535));
  if (!request.call(SIOCGIFFLAGS)) return query_error(name);
  facts.up = (request.answer().ifr_flags & IFF_UP) != 0;
  facts.link_up = facts.up && (request.answer().ifr_flags & IFF_RUNNING) != 0;
  query_queues(name, facts);
  facts.driver = query_driver(name);
  return facts;
}

// A line of it: NAME: bytes packets errs drop fifo frame compressed multicast, and eight of sending.
InterfaceCounts read_counts(std::string_view text, std::string_view name) {
  constexpr size_t kFields = 16;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
    if (!line.starts_with(name) || line.substr(name.size(), 1) != ":") continue;
    line.remove_prefix(name.size() + 1);
    uint64_t field[kFields] = {};
    for (uint64_t& f : field) {
      line.remove_prefix(std::min(line.size(), line.find_first_not_of(' ')));
      const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), f);
      if (error != std::errc()) break;
      line.remove_prefix(static_cast<size_t>(end - line.data()));
    }
    return {.rx_packets = field[1],
            .rx_bytes = field[0],
            .rx_lost = field[3] + field[4],
            .tx_packets = field[9],
            .tx_bytes = field[8],
            .tx_lost = field[11] + field[12]};
  }
  return {};
}

InterfaceCounts count_interface(const std::string& name) {
  std::ifstream file("/proc/thread-self/net/dev");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return read_counts(text, name);
}

}  // namespace lb::xdp
