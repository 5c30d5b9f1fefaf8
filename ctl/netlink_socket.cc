#include "ctl/netlink_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

namespace lb::ctl {
namespace {

net::Error failed(std::string_view what, int error) {
  return {error == EPERM ? net::Code::kPermission : net::Code::kIo,
          fmt::format("rtnetlink: cannot {}: {}", what, std::strerror(error))};
}

std::string_view name_of(uint16_t dump) {
  switch (dump) {
    case RTM_GETLINK:
      return "interfaces";
    case RTM_GETADDR:
      return "addresses";
    case RTM_GETROUTE:
      return "routes";
    default:
      return "neighbours";
  }
}

}  // namespace

nlmsghdr* NetlinkBatch::add(uint16_t type, uint16_t flags, uint32_t seq) {
  open_ = mnl_nlmsg_put_header(buffer_.data() + used_);
  open_->nlmsg_type = type;
  open_->nlmsg_flags = flags;
  open_->nlmsg_seq = seq;
  return open_;
}

void NetlinkBatch::commit() {
  used_ += MNL_ALIGN(open_->nlmsg_len);
  count_++;
}

bool NetlinkBatch::full() const {
  return count_ == kMaxCount || used_ + kMaxMessage > buffer_.size();
}

void NetlinkSocket::Close::operator()(mnl_socket* s) const {
  mnl_socket_close(s);
}

net::Result<NetlinkSocket> NetlinkSocket::open(Mode mode, std::initializer_list<int> groups) {
  NetlinkSocket s;
  s.socket_.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC));
  if (s.socket_ == nullptr) return failed("open a socket", errno);
  if (mnl_socket_bind(s.socket_.get(), 0, MNL_SOCKET_AUTOPID) != 0) return failed("bind a socket", errno);
  // Room for a burst of events: a full routing table that changes at once. Without privileges the default stays.
  const int bytes = 4 << 20;
  setsockopt(s.fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  for (int group : groups) {
    if (mnl_socket_setsockopt(s.socket_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      return failed(fmt::format("join event group {}", group), errno);
    }
  }
  if (mode == Mode::kNoWait) {
    if (fcntl(s.fd(), F_SETFL, O_NONBLOCK) != 0) return failed("set up a socket", errno);
  } else {
    const timeval wait{.tv_sec = 2, .tv_usec = 0};
    if (setsockopt(s.fd(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) != 0) return failed("set up a socket", errno);
  }
  return s;
}

int NetlinkSocket::fd() const {
  return mnl_socket_get_fd(socket_.get());
}

net::Status NetlinkSocket::send(const NetlinkBatch& batch) {
  if (mnl_socket_sendto(socket_.get(), batch.buffer_.data(), batch.used_) < 0) return failed("send a request", errno);
  return {};
}

net::Status NetlinkSocket::receive(size_t answers, const MessageHandler& handle) {
  while (answers > 0) {
    const ssize_t n = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("get an answer", errno == EAGAIN ? ETIMEDOUT : errno);
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
      handle(*m);
      if (answers > 0) answers--;
    }
  }
  return {};
}

net::Result<bool> NetlinkSocket::dump_once(uint16_t type, uint8_t family, const MessageHandler& handle) {
  NetlinkBatch batch;
  static uint32_t seq = 0;
  nlmsghdr* request = batch.add(type, NLM_F_REQUEST | NLM_F_DUMP, ++seq);
  // Every dump of this family of messages begins with the address family; strict checking wants the whole header.
  const size_t body = type == RTM_GETLINK ? sizeof(ifinfomsg) : type == RTM_GETADDR ? sizeof(ifaddrmsg) : sizeof(ndmsg);
  *static_cast<uint8_t*>(mnl_nlmsg_put_extra_header(request, body)) = family;
  batch.commit();
  if (auto sent = send(batch); !sent) return sent.error();
  bool interrupted = false;
  while (true) {
    const ssize_t n = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read a dump", errno == EAGAIN ? ETIMEDOUT : errno);
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
      if (m->nlmsg_seq != seq) continue;
      interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
      if (m->nlmsg_type == NLMSG_DONE) return !interrupted;
      if (m->nlmsg_type == NLMSG_ERROR) {
        return failed("read a dump", -static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(m))->error);
      }
      handle(*m);
    }
  }
}

net::Status NetlinkSocket::dump(uint16_t type, uint8_t family, const MessageHandler& handle) {
  // An interrupted dump may miss an entry.
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; i++) {
    auto complete = dump_once(type, family, handle);
    if (!complete) return complete.error();
    if (*complete) break;
  }
  return {};
}

net::Status NetlinkSocket::dump_whole(uint16_t type, uint8_t family, const std::function<void()>& begin,
                                      const MessageHandler& handle) {
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; i++) {
    begin();
    auto complete = dump_once(type, family, handle);
    if (!complete) return complete.error();
    if (*complete) return {};
  }
  return net::Error{net::Code::kUnavailable,
                    fmt::format("rtnetlink: the kernel's {} changed each of {} times that they were read, so what was "
                                "read may lack some; try again when they rest",
                                name_of(type), kTries)};
}

net::Result<NetlinkSocket::Drained> NetlinkSocket::drain(const MessageHandler& handle) {
  Drained drained = Drained::kAll;
  while (true) {
    const ssize_t n = mnl_socket_recvfrom(socket_.get(), buffer_.data(), buffer_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return drained;
    if (n < 0 && errno == ENOBUFS) {
      drained = Drained::kLost;
      continue;
    }
    if (n < 0) return failed("read events", errno);
    int left = static_cast<int>(n);
    for (auto* m = reinterpret_cast<nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left); m = mnl_nlmsg_next(m, &left)) {
      handle(*m);
    }
  }
}

}  // namespace lb::ctl
