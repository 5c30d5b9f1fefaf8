// A blocking client of the control socket and a whole control plane behind it, on a thread of its own, as in the
// daemon.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <future>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "ctl/controller.h"
#include "ctl/dispatcher.h"
#include "ctl/event_ring.h"
#include "ctl/log.h"
#include "ctl/server.h"
#include "ctl/socket_claim.h"
#include "tests/unit/ctl/fakes.h"
#include "tests/unit/ctl/test_config.h"

namespace lb::ctl {

class TestClient {
 public:
  explicit TestClient(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    connected_ = ::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  bool connected() const { return connected_; }
  int fd() const { return fd_.get(); }

  bool send(const std::string& bytes, int passed = -1) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (passed >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* c = CMSG_FIRSTHDR(&message);
      c->cmsg_level = SOL_SOCKET;
      c->cmsg_type = SCM_RIGHTS;
      c->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(c), &passed, sizeof passed);
    }
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t n = at == 0 ? sendmsg(fd_.get(), &message, MSG_NOSIGNAL)
                                : ::send(fd_.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n < 0) return false;
      at += static_cast<size_t>(n);
    }
    return true;
  }

  // A line without its newline; empty at the end of the connection or after 20 s.
  std::string line() {
    while (true) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        std::string found = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return found;
      }
      pollfd ready{fd_.get(), POLLIN, 0};
      char bytes[65536];
      if (poll(&ready, 1, 20000) != 1) return {};
      const ssize_t n = recv(fd_.get(), bytes, sizeof bytes, 0);
      if (n <= 0) return {};
      buffer_.append(bytes, static_cast<size_t>(n));
    }
  }
  // The server closed, with nothing more to read.
  bool at_end() { return line().empty() && buffer_.empty(); }

  nlohmann::json call(const std::string& method, nlohmann::json params = nlohmann::json::object(), int passed = -1) {
    const nlohmann::json request = {
        {"jsonrpc", "2.0"}, {"id", ++id_}, {"method", method}, {"params", std::move(params)}};
    EXPECT_TRUE(send(request.dump() + '\n', passed));
    nlohmann::json answer = nlohmann::json::parse(line(), nullptr, false);
    if (!answer.is_object()) ADD_FAILURE() << method << " got no answer";
    EXPECT_EQ(answer.value("id", 0), id_);
    return answer;
  }
  nlohmann::json result(const std::string& method, nlohmann::json params = nlohmann::json::object(), int passed = -1) {
    nlohmann::json answer = call(method, std::move(params), passed);
    EXPECT_TRUE(answer.contains("result")) << method << ": " << answer.dump();
    return answer.value("result", nlohmann::json());
  }
  // data.code, the sentence.
  std::pair<std::string, std::string> refusal(const std::string& method,
                                              nlohmann::json params = nlohmann::json::object()) {
    const nlohmann::json answer = call(method, std::move(params));
    if (!answer.contains("error")) {
      ADD_FAILURE() << method << " was not refused: " << answer.dump();
      return {};
    }
    return {answer["error"]["data"]["code"], answer["error"]["message"]};
  }

 private:
  UniqueFd fd_;
  bool connected_ = false;
  int id_ = 0;
  std::string buffer_;
};

// A client that a thread connects which is that user for the while: lbd sees whom the kernel kept. REQUIRES: root.
inline std::unique_ptr<TestClient> connect_as(const std::string& path, uid_t uid, gid_t gid,
                                              const std::vector<gid_t>& groups = {}) {
  std::unique_ptr<TestClient> client;
  std::thread([&] {
    // The system calls themselves, since glibc's functions change all threads.
    EXPECT_EQ(syscall(SYS_setgroups, groups.size(), groups.data()), 0);
    EXPECT_EQ(syscall(SYS_setresgid, gid, gid, gid), 0);
    EXPECT_EQ(syscall(SYS_setresuid, uid, uid, uid), 0);
    client = std::make_unique<TestClient>(path);
    EXPECT_TRUE(client->connected());
  }).join();
  return client;
}

class ServerFixture : public testing::Test {
 protected:
  explicit ServerFixture(model::Access access = {}) : allowed_(std::move(access)) {}
  void boot(const ServerLimits& limits = {}, const std::string& document = kDocument) {
    before_ = set_log_sink([](LogLevel, const std::string&) {});
    spill(dir_ / "lbd.yaml", document);
    ASSERT_TRUE(store_.open());
    ASSERT_TRUE(events_.open());
    set_log_observer([this](LogLevel level, std::string_view event, std::span<const LogField> fields) {
      events_.add(level, event, fields);
    });
    ASSERT_TRUE(control_.start(test_config(document), std::nullopt));
    auto claim = SocketClaim::take(socket_, names_others(allowed_) ? 0666 : 0600);
    ASSERT_TRUE(claim) << claim.error().message;
    claim_.emplace(std::move(*claim));
    server_.emplace(io_, claim_->release_listener(), dispatcher_, limits);
    server_->start();
    thread_ = std::thread([this] { io_.run(); });
  }
  void TearDown() override {
    if (thread_.joinable()) {
      boost::asio::post(io_, [this] { io_.stop(); });
      thread_.join();
    }
    set_log_observer({});
    set_log_sink(before_);
  }
  // On the control thread.
  template <class F>
  void on_control(F f) {
    std::promise<void> done;
    boost::asio::post(io_, [&] {
      f();
      done.set_value();
    });
    done.get_future().wait();
  }

  LogSink before_;
  TempDir dir_;
  const std::string socket_ = dir_ / "run/lbd.sock";
  FakeEngine engine_;
  FakeTopology topology_;
  StateStore store_{dir_ / "state"};
  Controller control_{engine_, topology_, store_, lb_hash_key{1, 2}};
  Drift drift_{dir_ / "lbd.yaml"};
  EventRing events_{dir_ / "state/events", system_files()};
  const model::Access allowed_;
  FakeAccounts accounts_;
  Access access_{allowed_, geteuid(), accounts_};
  AuditLog audit_{dir_ / "audit.log"};
  Node node_{control_, drift_, std::chrono::system_clock::now(), {}, access_, audit_, &events_};
  Dispatcher dispatcher_{node_};
  boost::asio::io_context io_{1};
  std::optional<SocketClaim> claim_;
  std::optional<Server> server_;
  std::thread thread_;
};

inline UniqueFd memory_file(const std::string& text) {
  UniqueFd fd(memfd_create("config", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  return fd;
}

}  // namespace lb::ctl
