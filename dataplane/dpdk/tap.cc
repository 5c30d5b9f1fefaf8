#include "dataplane/dpdk/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "dataplane/host/kernel_interface.h"

namespace lb::dpdk {
namespace {

constexpr const char* kTun = "/dev/net/tun";

net::Error open_error(int error) {
  if (error == EACCES || error == EPERM)
    return {net::Code::kPermission, fmt::format("{} may not be opened: {}; run as root", kTun, strerror(error))};
  return {net::Code::kUnavailable, host::no_tun(kTun, strerror(error))};
}

net::Error attach_error(const std::string& name, int error) {
  if (error == EBUSY)
    return {net::Code::kUnavailable, fmt::format("{} is in use by another process; see who: fuser {}", name, kTun)};
  if (error == EINVAL) return {net::Code::kExists, host::no_tap_of_ours(name)};
  if (error == EPERM || error == EACCES)
    return {net::Code::kPermission, fmt::format("{} cannot be made: {}; run as root", name, strerror(error))};
  return {net::Code::kIo, fmt::format("{} cannot be made: {}", name, strerror(error))};
}

}  // namespace

net::Result<std::unique_ptr<Tap>> Tap::open(const std::string& name, const net::Mac& mac, uint16_t mtu) {
  const bool adopted = host::interface_exists(name);
  const int fd = ::open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return open_error(errno);
  std::unique_ptr<Tap> tap(new Tap(name, fd, adopted));
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (ioctl(fd, TUNSETIFF, &request) != 0) return attach_error(name, errno);
  tap->dropped_before_ = host::interface_tx_dropped(name).value_or(0);
  // In the kernel's eyes attaching plugs the cable in.
  if (net::Status set = tap->set_carrier(false); !set) return set.error();
  if (ioctl(fd, TUNSETOFFLOAD, 0) != 0) return attach_error(name, errno);
  if (mac != net::Mac{})
    if (net::Status set = host::set_interface_mac(name, mac); !set) return set.error();
  if (net::Status set = host::set_interface_mtu(name, mtu); !set) return set.error();
  if (adopted) return tap;
  if (net::Status set = host::set_interface_up(name); !set) return set.error();
  return tap;
}

Tap::~Tap() {
  (void)set_carrier(false);  // what the kernel does itself when we are killed
  close(fd_);
}

net::Result<net::Mac> Tap::mac() const {
  const auto interface = host::query_interface(name_);
  if (!interface) return interface.error();
  return interface->mac;
}

net::Status Tap::set_carrier(bool up) {
  int carrier = up ? 1 : 0;
  if (ioctl(fd_, TUNSETCARRIER, &carrier) == 0) return {};
  return net::Error{net::Code::kIo, fmt::format("{}: carrier cannot be set: {}", name_, strerror(errno))};
}

net::Status Tap::keep() {
  if (ioctl(fd_, TUNSETPERSIST, 1) == 0) return {};
  return net::Error{net::Code::kIo, fmt::format("{}: cannot be made persistent: {}", name_, strerror(errno))};
}

void Tap::keep_no_more() {
  if (!adopted_) (void)ioctl(fd_, TUNSETPERSIST, 0);
}

// The kernel cuts without a word: a byte behind the room tells.
size_t Tap::read(uint8_t* to, size_t room) noexcept {
  uint8_t behind = 0;
  const std::array<iovec, 2> pieces = {iovec{to, room}, iovec{&behind, 1}};
  const ssize_t n = ::readv(fd_, pieces.data(), static_cast<int>(pieces.size()));
  return n > 0 ? static_cast<size_t>(n) : 0;
}

uint64_t Tap::dropped() const {
  return std::max(host::interface_tx_dropped(name_).value_or(0), dropped_before_) - dropped_before_;
}

bool Tap::write(const iovec* pieces, int count) noexcept {
  return ::writev(fd_, pieces, count) > 0;
}

}  // namespace lb::dpdk
