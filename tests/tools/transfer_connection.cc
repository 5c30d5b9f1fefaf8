#include "tests/tools/transfer_connection.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

namespace lb::tools {
namespace {

// 192.0.2.1:80, [2001:db8::1]:80
std::string endpoint(const sockaddr_storage& a) {
  char text[INET6_ADDRSTRLEN] = {};
  if (a.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(a);
    inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    return std::string(text) + ":" + std::to_string(ntohs(in.sin_port));
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(a);
  inet_ntop(AF_INET6, &in.sin6_addr, text, sizeof(text));
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(in.sin6_port));
}

}  // namespace

std::string_view to_string(State s) {
  switch (s) {
    case State::kLive:
      return "live";
    case State::kDone:
      return "done";
    case State::kReset:
      return "reset";
    case State::kTimeout:
      return "timeout";
    case State::kCorrupt:
      return "corrupt";
    case State::kCut:
      return "cut";
    case State::kError:
      return "error";
  }
  return "?";
}

Connection::Connection(const std::string& address, const std::string& port, const Hello& hello) : hello_(hello) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(address.c_str(), port.c_str(), &hints, &found) != 0)
    die("no address and port: " + address + " " + port);
  fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (fd_ < 0) die("socket");
  const int result = connect(fd_, found->ai_addr, found->ai_addrlen);
  if (result != 0 && errno != EINPROGRESS) failed(errno);
  freeaddrinfo(found);
  learn_source();
  destination_ = (address.find(':') == std::string::npos ? address : "[" + address + "]") + ":" + port;
  out_.add(hello_);
}

void Connection::learn_source() {
  sockaddr_storage own{};
  socklen_t size = sizeof(own);
  if (fd_ >= 0 && getsockname(fd_, reinterpret_cast<sockaddr*>(&own), &size) == 0) source_ = endpoint(own);
}

void Connection::close_socket() {
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
}

void Connection::over(State s) {
  state_ = s;
  close_socket();
}

void Connection::failed(int error) {
  error_ = strerror(error);
  if (error == ECONNRESET || error == EPIPE || error == ECONNREFUSED) return over(State::kReset);
  over(error == ETIMEDOUT ? State::kTimeout : State::kError);
}

void Connection::readable() {
  std::array<uint8_t, 65536> buffer;
  while (state_ == State::kLive) {
    const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) return failed(errno);
    if (n == 0) return over(ended_ ? State::kDone : State::kCut);
    if (!take(buffer.data(), static_cast<size_t>(n))) return over(State::kCorrupt);
    if (ended_ && hello_.mode == Mode::kProbe) return over(State::kDone);
  }
}

bool Connection::take(const uint8_t* bytes, size_t n) {
  while (n > 0) {
    const bool in_header = header_bytes_ < sizeof(Record);
    const size_t wanted = in_header ? sizeof(Record) - header_bytes_ : record_.bytes - payload_bytes_;
    const size_t now = std::min(wanted, n);
    if (in_header) {
      std::memcpy(reinterpret_cast<uint8_t*>(&record_) + header_bytes_, bytes, now);
      header_bytes_ += now;
      if (header_bytes_ == sizeof(Record) && (record_.bytes == 0 || record_.bytes > kPiece || ended_)) return false;
    } else {
      std::memcpy(payload_.data() + payload_bytes_, bytes, now);
      payload_bytes_ += now;
    }
    bytes += now;
    n -= now;
    if (!in_header && payload_bytes_ == record_.bytes) {
      if (!take_record()) return false;
      header_bytes_ = payload_bytes_ = 0;
    }
  }
  return true;
}

bool Connection::take_piece() {
  if (hello_.mode != Mode::kDownload || record_.bytes != kPiece) return false;
  fill(expected_, hello_.id, hello_.mode, pieces_);
  pieces_++;
  return payload_ == expected_;
}

bool Connection::take_record() {
  uint64_t number = 0;
  std::memcpy(&number, payload_.data(), 8);
  switch (record_.kind) {
    case Kind::kName:
      std::memcpy(name_.data(), payload_.data(), name_.size());
      return record_.bytes == name_.size();
    case Kind::kContent:
      return take_piece();
    case Kind::kGot:
      pieces_++;
      return hello_.mode == Mode::kUpload && number == pieces_ * kPiece && number <= sent_;
    case Kind::kEnd:
      ended_ = true;
      return number == pieces_ * kPiece && (hello_.mode != Mode::kUpload || number == sent_);
    case Kind::kBad:
      break;
  }
  return false;
}

void Connection::tick(uint64_t now) {
  if (state_ != State::kLive) return;
  if (hello_.mode == Mode::kUpload && !finishing_ && !backend().empty() && out_.empty() && now >= next_ms_) {
    fill(expected_, hello_.id, hello_.mode, sent_ / kPiece);
    out_.add(std::span<const uint8_t>(expected_));
    sent_ += kPiece;
    next_ms_ = now + hello_.period_ms;
  }
  if (!out_.flush(fd_) && errno != ENOTCONN) return failed(errno);
  if (finishing_ && !shut_ && out_.empty()) {
    shut_ = true;
    shutdown(fd_, SHUT_WR);
  }
}

void Connection::finish() {
  finishing_ = true;
}

}  // namespace lb::tools
