#include "ctl/connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>

#include "ctl/foreign_fd.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr size_t kReadBytes = 64 << 10;  // one recvmsg()
constexpr size_t kMaxFds = 4;            // waiting for their request; a request uses one
constexpr size_t kMaxClosing = 8;        // descriptors of viewers whose closing waits for somebody

}  // namespace

Connection::Connection(asio::local::stream_protocol::socket socket, Dispatcher& dispatcher, const ServerLimits& limits,
                       Peer peer, Places& places, size_t* unsent)
    : line_(std::make_shared<Line>(std::move(socket))),
      timer_(line_->socket.get_executor()),
      dispatcher_(dispatcher),
      limits_(limits),
      peer_(std::move(peer)),
      places_(places),
      unsent_(unsent) {}

void Connection::arm(std::chrono::milliseconds time) {
  timer_.expires_after(time);
  timer_.async_wait([line = std::weak_ptr<Line>(line_)](const error_code& error) {
    const auto held = line.lock();
    if (error || held == nullptr) return;
    held->late = true;
    error_code ignored;
    held->socket.cancel(ignored);
  });
}

void Connection::say(const Reply& reply) {
  const std::string text = reply.line + '\n';
  // A client that is about to be closed gets what its socket buffer takes.
  [[maybe_unused]] ssize_t sent =
      ::send(line_->socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

std::optional<std::string> Connection::take_line() {
  const size_t end = buffer_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    return std::nullopt;
  }
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  scanned_ = 0;
  return line;
}

Connection::Received Connection::receive() {
  const size_t before = buffer_.size();
  buffer_.resize(before + kReadBytes);
  iovec part{buffer_.data() + before, kReadBytes};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * 2 * kMaxFds)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  const bool trusted = dispatcher_.role_of(peer_) == Role::kOperator;
  if (trusted || closing_aside() < kMaxClosing) {  // else the kernel drops what comes
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  const ssize_t n = ::recvmsg(line_->socket.native_handle(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  const int error = errno;
  buffer_.resize(before + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0) return error == EAGAIN || error == EINTR ? Received::kNothingYet : Received::kEnd;
  keep_fds(message, trusted);
  return n == 0 ? Received::kEnd : Received::kBytes;
}

void Connection::keep_fds(msghdr& message, bool trusted) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
      int number;
      std::memcpy(&number, CMSG_DATA(c) + i * sizeof(int), sizeof number);
      UniqueFd fd(number);
      if (trusted || is_in_memory(fd.get())) {
        fds_.push_back(std::move(fd));
        continue;
      }
      foreign_fd_ = true;
      close_aside(std::move(fd));
    }
  }
  too_many_fds_ = fds_.size() > kMaxFds || (message.msg_flags & MSG_CTRUNC) != 0;
}

std::string_view Connection::fd_fault() const {
  if (foreign_fd_)
    return "that descriptor is no file in memory: a viewer's document comes in a memfd, as lbctl sends it, or as "
           "`text`";
  return too_many_fds_ ? "too many descriptors: a request comes with one at most" : "";
}

asio::awaitable<std::optional<std::string>> Connection::read_line() {
  if (auto line = take_line()) co_return line;
  const auto waits = asked_ ? limits_.idle_time : limits_.first_time;
  arm(buffer_.empty() ? waits : limits_.line_time);
  while (true) {
    error_code error;
    co_await line_->socket.async_wait(asio::socket_base::wait_read, asio::redirect_error(asio::use_awaitable, error));
    if (line_->late && (!buffer_.empty() || !asked_)) {
      say(fault_reply(-32000, net::Code::kTimeout,
                      buffer_.empty() ? "no request came in time: connect when there is something to ask"
                                      : "the line did not end in time: a request ends with a newline"));
    }
    if (error || line_->late) co_return std::nullopt;
    const bool first = buffer_.empty();
    const Received received = receive();
    if (received == Received::kEnd) {
      // One that closed its sending half can still read.
      if (!buffer_.empty())
        say(fault_reply(-32600, net::Code::kInvalid, "the last line has no end: a request ends with a newline"));
      co_return std::nullopt;
    }
    if (received == Received::kNothingYet) continue;
    if (const std::string_view fault = fd_fault(); !fault.empty()) {
      say(fault_reply(-32600, net::Code::kInvalid, fault));
      co_return std::nullopt;
    }
    if (auto line = take_line()) co_return line;
    if (buffer_.size() > kMaxLine) {
      say(fault_reply(-32600, net::Code::kInvalid,
                      "the line is longer than 1 MiB: send a long configuration by descriptor"));
      co_return std::nullopt;
    }
    if (first) arm(limits_.line_time);
  }
}

asio::awaitable<bool> Connection::write(std::string text) {
  for (size_t at = 0; at < text.size();) {
    arm(limits_.write_time);
    error_code error;
    at += co_await line_->socket.async_write_some(asio::buffer(text.data() + at, text.size() - at),
                                                  asio::redirect_error(asio::use_awaitable, error));
    if (error || line_->late) co_return false;
  }
  timer_.cancel();
  co_return true;
}

asio::awaitable<void> Connection::wait_for_turn() {
  constexpr auto kLook = std::chrono::milliseconds(10);  // whether answers were taken
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    const bool owes = unsent_ != nullptr && *unsent_ > limits_.viewer_unsent;
    // Another viewer may have been quicker.
    if (!owes && now >= places_.viewers_turn) co_return;
    timer_.expires_at(owes ? now + kLook : places_.viewers_turn);
    error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<Reply> Connection::handle(std::string line) {
  if (dispatcher_.role_of(peer_) == Role::kOperator) co_return dispatcher_.handle(line, peer_, fds_);
  co_await wait_for_turn();
  const auto begin = std::chrono::steady_clock::now();
  Reply reply = dispatcher_.handle(line, peer_, fds_);
  const auto end = std::chrono::steady_clock::now();
  places_.viewers_turn = end + (end - begin);
  co_return reply;
}

asio::awaitable<bool> Connection::answer(Reply reply) {
  reply.line += '\n';
  const size_t bytes = reply.line.size();
  if (unsent_ != nullptr) *unsent_ += bytes;
  const bool sent = co_await write(std::move(reply.line));
  if (unsent_ != nullptr) *unsent_ -= bytes;
  co_return sent && !reply.close;
}

asio::awaitable<void> Connection::run() {
  while (auto line = co_await read_line()) {
    timer_.cancel();
    asked_ = true;
    if (line->size() > kMaxLine) {
      say(fault_reply(-32600, net::Code::kInvalid,
                      "the line is longer than 1 MiB: send a long configuration by descriptor"));
      co_return;
    }
    if (!co_await answer(co_await handle(std::move(*line)))) co_return;
  }
}

}  // namespace lb::ctl
