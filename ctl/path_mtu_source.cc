#include "ctl/path_mtu_source.h"

#include <fmt/format.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "ctl/log.h"
#include "ctl/unique_fd.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::chrono::milliseconds kCoalesce{100};  // between snapshots that reports make
constexpr std::chrono::seconds kExpiry{5};           // between looks for what has expired
constexpr int kReportsAtOnce = 64;                   // of a flood: then it is everybody else's turn

// Only the messages that can be reports. ERRORS: errno.
UniqueFd open_icmp4() {
  UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (fd.get() < 0) return fd;
  const icmp_filter all_but{.data = ~(1u << ICMP_DEST_UNREACH)};
  if (::setsockopt(fd.get(), SOL_RAW, ICMP_FILTER, &all_but, sizeof all_but) != 0) return UniqueFd();
  return fd;
}

UniqueFd open_icmp6() {
  UniqueFd fd(::socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMPV6));
  if (fd.get() < 0) return fd;
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
  if (::setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) != 0) return UniqueFd();
  return fd;
}

class Source : public PathMtuSource {
 public:
  Source(asio::io_context& io, std::unique_ptr<TopologySource> inner)
      : inner_(std::move(inner)), icmp4_(io), icmp6_(io), coalesce_(io), expiry_(io) {
    listen(icmp4_, open_icmp4(), "IPv4");
    listen(icmp6_, open_icmp6(), "IPv6");
  }

  net::Result<model::Topology> resolve(const std::set<net::Address>& backends) override {
    auto topology = inner_->resolve(backends);
    if (topology) known_.apply(*topology);
    return topology;
  }
  void follow(std::set<net::Address> backends) override {
    known_.keep_only(backends);
    inner_->follow(std::move(backends));
  }
  void on_change(std::function<void()> changed) override {
    changed_ = changed;
    inner_->on_change(std::move(changed));
  }
  std::vector<std::string> problems() const override { return inner_->problems(); }
  const PathMtu* path_mtu(const net::Address& backend) const override { return known_.find(backend); }
  void judge_by(std::function<InUse()> in_use) override { in_use_ = std::move(in_use); }

 private:
  using Socket = asio::posix::stream_descriptor;

  void listen(Socket& socket, UniqueFd fd, const char* family) {
    if (fd.get() < 0) {
      log(LogLevel::kWarning, "path_mtu_unknown",
          {{"why",
            fmt::format("path MTUs to {} backends are not learnt: lbd cannot open a raw ICMP socket ({}); give it "
                        "CAP_NET_RAW",
                        family, std::strerror(errno))}});
      return;
    }
    socket.assign(fd.release());
    wait(socket);
  }

  void wait(Socket& socket) {
    socket.async_wait(Socket::wait_read, [this, &socket](const error_code& error) {
      if (error) return;
      for (int i = 0; i < kReportsAtOnce && take(socket); i++) {
      }
      wait(socket);
    });
  }

  // False: there is nothing more.
  bool take(Socket& socket) {
    std::array<uint8_t, 2048> buffer;
    sockaddr_in6 from{};
    socklen_t size = sizeof from;
    const ssize_t n =
        ::recvfrom(socket.native_handle(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0) return errno == EINTR;
    const std::span<const uint8_t> bytes(buffer.data(), static_cast<size_t>(n));
    const auto report =
        &socket == &icmp4_ ? read_report4(bytes) : read_report6(net::Address::from_ipv6(from.sin6_addr.s6_addr), bytes);
    if (report && in_use_) learn(*report);
    return true;
  }

  void learn(const MtuReport& report) {
    const InUse used = in_use_();
    if (known_.learn(report, used.topology, used.snapshot, used.now) != PathMtus::Learnt::kChanged) return;
    log(LogLevel::kInfo, "path_mtu",
        {{"backend", report.backend.to_string()},
         {"mtu", known_.find(report.backend)->mtu},
         {"from", report.from.to_string()}});
    tell_soon();
    expire_later();
  }

  void tell_soon() {
    if (telling_) return;
    telling_ = true;
    coalesce_.expires_after(kCoalesce);
    coalesce_.async_wait([this](const error_code& error) {
      if (error) return;
      telling_ = false;
      if (changed_) changed_();
    });
  }

  void expire_later() {
    if (expiring_) return;
    expiring_ = true;
    expiry_.expires_after(kExpiry);
    expiry_.async_wait([this](const error_code& error) {
      if (error) return;
      expiring_ = false;
      if (known_.expire(in_use_().now)) tell_soon();
      if (!known_.empty()) expire_later();
    });
  }

  std::unique_ptr<TopologySource> inner_;
  Socket icmp4_, icmp6_;
  asio::steady_timer coalesce_, expiry_;
  PathMtus known_;
  std::function<InUse()> in_use_;
  std::function<void()> changed_;
  bool telling_ = false, expiring_ = false;
};

}  // namespace

std::unique_ptr<PathMtuSource> learn_path_mtus(asio::io_context& io, std::unique_ptr<TopologySource> inner) {
  return std::make_unique<Source>(io, std::move(inner));
}

}  // namespace lb::ctl
