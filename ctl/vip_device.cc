#include "ctl/vip_device.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>

#include "ctl/log.h"
#include "ctl/vip_holder.h"
#include "ctl/vip_routes.h"
#include "dataplane/host/kernel_interface.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;

constexpr const char* kTunPath = "/dev/net/tun";

net::Error tun_failed(int error) {
  if (error == EACCES || error == EPERM)
    return {net::Code::kPermission,
            fmt::format("{} cannot be made: {}; run lbd as root", kVipInterface, std::strerror(error))};
  if (error == EBUSY || error == EINVAL || error == EEXIST)
    return {
        net::Code::kExists,
        fmt::format("there is an interface {} already: another lbd announces in this network namespace, else remove "
                    "it: ip link del {}",
                    kVipInterface, kVipInterface)};
  return {net::Code::kUnavailable, fmt::format("{} needs {}, which does not work ({}); load it: modprobe tun",
                                               kVipInterface, kTunPath, std::strerror(error))};
}

// No address of its own: the interface carries routes only. Where this cannot be set it gets a link-local one, which
// reaches nobody.
void forbid_link_local() {
  std::ofstream(fmt::format("/proc/sys/net/ipv6/conf/{}/addr_gen_mode", kVipInterface)) << "1\n";
}

net::Result<UniqueFd> make_tun() {
  UniqueFd fd(::open(kTunPath, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return tun_failed(errno);
  ifreq request = {};
  std::strcpy(request.ifr_name, kVipInterface);
  request.ifr_flags = static_cast<int16_t>(IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL);
  if (ioctl(fd.get(), TUNSETIFF, &request) != 0) return tun_failed(errno);
  forbid_link_local();
  if (net::Status up = host::set_interface_up(kVipInterface); !up) return up.error();
  return fd;
}

class TunDevice : public VipDevice {
 public:
  TunDevice(asio::io_context& io, VipHolding holding) : io_(io), holding_(std::move(holding)) {
    inherited_ = take_from_holder(holding_.path);
    if (inherited_) log(LogLevel::kInfo, "announcement_taken_over");
  }

  std::map<net::Address, std::string> announce(const std::set<net::Address>& wanted) override {
    net::Status open = ensure_open();
    if (open) return routes_->set(wanted);
    std::map<net::Address, std::string> failed;
    for (const net::Address& address : wanted) failed[address] = open.error().message;
    return failed;
  }

  void close() override {
    inherited_.reset();
    holder_.reset();
    routes_.reset();
    readable_.reset();
  }

  bool is_whole() override { return is_up() && routes_->still_has_next() && is_held(); }

  uint64_t dropped() const override { return dropped_; }

 private:
  bool is_up() const { return readable_ && routes_ && host::interface_link_up(kVipInterface); }
  bool is_held() { return !holding_.wanted || (holder_ && holder_->is_alive()); }

  net::Status ensure_open() {
    net::Status open;
    if (!is_up()) {
      std::optional<UniqueFd> former = std::exchange(inherited_, std::nullopt);
      close();  // what is left of it would be in the way of a new one
      open = take(std::move(former));
    } else if (!routes_->still_has_next()) {
      open = read_routes();
    }
    if (!open) {
      close();
      return open;
    }
    if (!is_held()) hold();
    return {};
  }

  net::Status read_routes() {
    auto routes = VipRoutes::open(static_cast<int>(if_nametoindex(kVipInterface)), kVipProtocol);
    if (!routes) return routes.error();
    routes_.emplace(std::move(*routes));
    return {};
  }

  net::Status take(std::optional<UniqueFd> former) {
    if (!former || !host::interface_link_up(kVipInterface)) {
      former.reset();
      auto made = make_tun();
      if (!made) return made.error();
      former = std::move(*made);
    }
    readable_.emplace(io_, former->release());
    if (net::Status read = read_routes(); !read) return read;
    wait();
    return {};
  }

  // Without one the addresses are announced, until lbd dies: said, and tried again.
  void hold() {
    holder_.reset();
    auto holder = VipHolder::start(readable_->native_handle(), holding_.path, holding_.socket);
    if (holder)
      holder_ = std::move(*holder);
    else if (std::exchange(not_held_, holder.error().message) != holder.error().message)
      log(LogLevel::kError, "announcement_not_held", {{"why", not_held_}});
  }

  void wait() {
    readable_->async_wait(asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
      if (!error && drop_some()) wait();
    });
  }

  // Some at a time: others wait for the control thread. RETURNS: false when the interface is gone.
  bool drop_some() {
    std::array<char, 2048> packet;
    for (int i = 0; i < 256; i++) {
      if (::read(readable_->native_handle(), packet.data(), packet.size()) < 0)
        return errno == EAGAIN || errno == EINTR;
      dropped_++;
    }
    return true;
  }

  asio::io_context& io_;
  VipHolding holding_;
  std::optional<UniqueFd> inherited_;  // of a dead lbd's holder, until something is announced or nothing is any more
  std::optional<asio::posix::stream_descriptor> readable_;
  std::optional<VipRoutes> routes_;
  std::unique_ptr<VipHolder> holder_;
  std::string not_held_;  // as it was said last
  uint64_t dropped_ = 0;
};

}  // namespace

std::unique_ptr<VipDevice> open_vip_device(asio::io_context& io, VipHolding holding) {
  return std::make_unique<TunDevice>(io, std::move(holding));
}

}  // namespace lb::ctl
