// A thread that plays lbd's side of the socket: what it reads is recorded, what it answers is the test's choice.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ctl/unique_fd.h"

namespace lb::ctl {

class TempDir {
 public:
  TempDir() {
    char path[] = "/tmp/lbctl-test-XXXXXX";
    path_ = mkdtemp(path);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

struct Request {
  nlohmann::json json;
  std::optional<std::string> attached;  // what the descriptor held
};

class FakeDaemon {
 public:
  using Json = nlohmann::json;
  // RETURNS: bytes to send; nothing: close the connection. A request that gets "" is never answered.
  using Reply = std::function<std::optional<std::string>(const Request&)>;

  explicit FakeDaemon(Reply reply) : reply_(std::move(reply)) {
    listener_ = UniqueFd(listen_at(socket()));
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeDaemon() {
    shutdown(listener_.get(), SHUT_RDWR);  // wakes accept()
    thread_.join();
  }

  std::string socket() const { return dir_.file("lbd.sock"); }
  // REQUIRES: the client is gone or has its answers: they are recorded before they are answered.
  const std::vector<Request>& requests() const { return requests_; }
  const Json& params() const { return requests_.back().json.at("params"); }

  static std::string line(const Json& json) { return json.dump() + "\n"; }
  static std::string result(const Request& r, const Json& value) {
    return line({{"jsonrpc", "2.0"}, {"id", r.json.at("id")}, {"result", value}});
  }
  static std::string error(const Request& r, const std::string& code, const std::string& message,
                           const std::vector<std::string>& problems = {}) {
    Json data = {{"code", code}};
    if (!problems.empty()) data["problems"] = problems;
    return line({{"jsonrpc", "2.0"},
                 {"id", r.json.at("id")},
                 {"error", {{"code", -32000}, {"message", message}, {"data", data}}}});
  }
  static bool is_hello(const Request& r) { return r.json.at("method") == "hello"; }
  static std::string hello(const Request& r, int protocol = 1) {
    return result(r, {{"protocol", protocol}, {"version", "0.1.0"}});
  }
  // Says hello, then the same result to everything.
  static Reply always(Json value) {
    return [value = std::move(value)](const Request& r) { return is_hello(r) ? hello(r) : result(r, value); };
  }

  static int listen_at(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << strerror(errno);
    EXPECT_EQ(listen(fd, 8), 0);
    return fd;
  }

 private:
  void serve() {
    for (;;) {
      UniqueFd client(accept(listener_.get(), nullptr, nullptr));
      if (!client) return;
      std::string buffer;
      std::optional<std::string> attached;
      while (read_some(client.get(), &buffer, &attached)) {
        const size_t end = buffer.find('\n');
        if (end == std::string::npos) continue;
        requests_.push_back({Json::parse(buffer.substr(0, end)), std::exchange(attached, std::nullopt)});
        buffer.erase(0, end + 1);
        const auto bytes = reply_(requests_.back());
        if (!bytes || !send_all(client.get(), *bytes)) break;
      }
    }
  }

  static bool send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }

  static std::string contents(int fd) {
    std::string text;
    struct stat st {};
    if (fstat(fd, &st) == 0) text.resize(static_cast<size_t>(st.st_size));
    if (pread(fd, text.data(), text.size(), 0) != st.st_size) text = "short read";
    return text;
  }

  static bool read_some(int fd, std::string* buffer, std::optional<std::string>* attached) {
    char chunk[65536];
    iovec io{.iov_base = chunk, .iov_len = sizeof chunk};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    if (n <= 0) return false;
    if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
      int received = -1;
      memcpy(&received, CMSG_DATA(header), sizeof received);
      *attached = contents(UniqueFd(received).get());
    }
    buffer->append(chunk, static_cast<size_t>(n));
    return true;
  }

  TempDir dir_;
  Reply reply_;
  UniqueFd listener_;
  std::vector<Request> requests_;  // the thread writes, the test reads after an answer
  std::thread thread_;
};

}  // namespace lb::ctl
