#include "xdp/exception_tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "xdp/interface_request.h"

namespace lb::xdp {
namespace {

constexpr const char* kTun = "/dev/net/tun";
constexpr int kQueue = 4096;  // frames: 0.4 s of a flood of 10,000 a second; what is more is lost, and told by lost()

net::Error open_error(int error) {
  if (error == EACCES || error == EPERM)
    return {net::Code::kPermission, fmt::format("{} may not be opened: {}; run as root", kTun, strerror(error))};
  return {net::Code::kUnavailable,
          fmt::format("the exception path needs {}, which is not there ({}); load it: modprobe tun", kTun,
                      strerror(error))};
}

net::Error attach_error(const std::string& name, int error) {
  if (error == EBUSY)
    return {net::Code::kExists,
            fmt::format("there is an interface {} already, whose name the exception path needs; another lbd may have "
                        "it, else remove it: ip link del {}",
                        name, name)};
  if (error == EPERM || error == EACCES)
    return {net::Code::kPermission, fmt::format("{} cannot be made: {}; run as root", name, strerror(error))};
  return {net::Code::kIo, fmt::format("{} cannot be made: {}", name, strerror(error))};
}

// No link-local address, and nothing said on its behalf. Where this cannot be set the interface says a word or two,
// which reaches nobody but us.
void turn_off_ipv6(const std::string& name) {
  std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6") << "1\n";
}

}  // namespace

net::Result<ExceptionTap> ExceptionTap::open(const std::string& name, uint32_t mtu) {
  Fd fd(::open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return open_error(errno);
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = static_cast<int16_t>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return attach_error(name, errno);
  ExceptionTap tap(name, std::move(fd));
  if (auto done = tap.set_up(mtu); !done) return done.error();
  return tap;
}

net::Status ExceptionTap::set_up(uint32_t mtu) {
  turn_off_ipv6(name_);
  index_ = static_cast<int>(if_nametoindex(name_.c_str()));
  InterfaceRequest request(name_);
  request.value().ifr_mtu = static_cast<int>(mtu);
  if (!request.call(SIOCSIFMTU)) return request.error(fmt::format("setting its MTU to {}", mtu));
  request.value().ifr_qlen = kQueue;
  if (!request.call(SIOCSIFTXQLEN)) return request.error(fmt::format("setting its queue to {} frames", kQueue));
  if (!request.call(SIOCGIFFLAGS)) return request.error("asking for its flags");
  request.value().ifr_flags = static_cast<int16_t>(request.value().ifr_flags | IFF_UP | IFF_NOARP);
  if (!request.call(SIOCSIFFLAGS)) return request.error("bringing it up");
  return {};
}

// The kernel cuts without a word: the byte behind the room tells.
int64_t ExceptionTap::read(uint8_t* to, size_t room) noexcept {
  const ssize_t n = ::read(fd_.get(), to, room + 1);
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

// /proc/net is the process's network namespace; /sys is that of whoever mounted it.
uint64_t ExceptionTap::lost() const {
  std::ifstream file("/proc/net/dev");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(':'), start = line.find_first_not_of(' ');
    if (colon == std::string::npos || line.compare(start, colon - start, name_) != 0) continue;
    std::istringstream numbers(line.substr(colon + 1));
    uint64_t number = 0;
    for (int column = 0; column < 12 && numbers >> number; column++) continue;  // the twelfth: sent, dropped
    return numbers ? number : 0;
  }
  return 0;
}

}  // namespace lb::xdp
