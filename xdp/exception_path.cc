#include "xdp/exception_path.h"

#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "xdp/exception_loop.h"
#include "xdp/interface.h"
#include "xdp/interface_request.h"

namespace lb::xdp {
namespace {

// More than the largest packet of an interface with the largest MTU that lbd knows, and tags.
constexpr uint32_t kTapMtu = 9216;
constexpr uint32_t kLargestMtu = 65000;  // lengths of frames are 16 bits
constexpr size_t kMostOfName = 15;       // IFNAMSIZ - 1

net::Result<ExceptionLoop::Port> open_port(const ExceptionOptions& options, const ExceptionPort& port, uint32_t mtu) {
  const int index = static_cast<int>(if_nametoindex(port.ifname.c_str()));
  if (index == 0) return no_such_interface(port.ifname);
  auto tap = ExceptionTap::open(tap_name(port.ifname, index), mtu);
  if (!tap) return tap.error();
  auto sender = PacketSender::open(port.ifname, index);
  if (!sender) return sender.error();
  return ExceptionLoop::Port{.tap = std::move(*tap),
                             .sender = std::move(*sender),
                             .mac = port.mac,
                             .index = index,
                             .given_back = port.mode == model::XdpMode::kGeneric ? options.given_back : 0};
}

net::Result<uint32_t> largest_mtu(const std::vector<ExceptionPort>& ports) {
  uint32_t largest = kTapMtu;
  for (const ExceptionPort& port : ports) {
    InterfaceRequest request(port.ifname);
    if (!request.call(SIOCGIFMTU)) return request.error("asking for its MTU");
    largest = std::max(largest, static_cast<uint32_t>(request.value().ifr_mtu));
  }
  return std::min(largest, kLargestMtu);
}

// Signals are the control thread's.
std::thread start_thread(ExceptionLoop* loop) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([loop] { loop->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), "lbd-exception");
  return thread;
}

}  // namespace

std::string tap_name(const std::string& ifname, int index) {
  std::string name = "lbx-" + ifname;
  return name.size() <= kMostOfName ? name : fmt::format("lbx-i{}", index);
}

net::Result<std::unique_ptr<ExceptionPath>> ExceptionPath::start(const ExceptionOptions& options) {
  const auto mtu = largest_mtu(options.ports);
  if (!mtu) return mtu.error();
  auto injector = Injector::load();
  if (!injector) return injector.error();
  std::vector<ExceptionLoop::Port> ports;
  for (const ExceptionPort& port : options.ports) {
    auto opened = open_port(options, port, *mtu);
    if (!opened) return opened.error();
    ports.push_back(std::move(*opened));
  }
  Fd wakes(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakes.valid()) return bpf_error("making an eventfd", errno);
  auto loop = std::make_unique<ExceptionLoop>(options, std::move(ports), std::move(*injector), std::move(wakes),
                                              ExceptionTap::frame_room(*mtu));
  return std::unique_ptr<ExceptionPath>(new ExceptionPath(std::move(loop)));
}

ExceptionPath::ExceptionPath(std::unique_ptr<ExceptionLoop> loop)
    : loop_(std::move(loop)), thread_(start_thread(loop_.get())) {}

ExceptionPath::~ExceptionPath() {
  loop_->stop();
  thread_.join();
}

void ExceptionPath::set_snapshot(std::shared_ptr<const model::Snapshot> snapshot) {
  loop_->set_snapshot(std::move(snapshot));
}

uint64_t ExceptionPath::generation() const noexcept {
  return loop_->generation();
}

const std::string& ExceptionPath::tap(net::PortId port) const {
  return loop_->port(net::raw(port)).tap.name();
}

int ExceptionPath::tap_index(net::PortId port) const {
  return loop_->port(net::raw(port)).tap.index();
}

uint64_t ExceptionPath::lost(net::PortId port) const {
  return loop_->port(net::raw(port)).tap.lost();
}

}  // namespace lb::xdp
