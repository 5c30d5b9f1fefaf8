// The XDP engine over veths with real packets, native and generic: what is owned goes through it, everything else stays
// the kernel's, and neither the death of lbd nor the next one's start costs a packet.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <set>
#include <thread>

#include "tests/unit/lab/lab.h"
#include "tests/unit/xdp/life.h"
#include "xdp/xdp_engine.h"

namespace lb::xdp {
namespace {

using lab::ChildInLab;
using lab::Lab;

class XdpTraffic : public Life, public testing::WithParamInterface<model::XdpMode> {
 protected:
  void SetUp() override {
    if (const std::string why = lab::why_no_lab(); !why.empty()) GTEST_SKIP() << why;
    Life::SetUp();
    if (HasFatalFailure()) return;
    lab_ = std::make_unique<Lab>(2, 1600);
    // A veth takes redirected frames where its peer polls.
    ASSERT_EQ(lab_->run("backend", "ethtool -K eth0 gro on"), 0);
    client_ = lab_->udp_client();
    backend_ = lab_->udp_socket("backend");
    sockaddr_in service = {};
    service.sin_family = AF_INET;
    service.sin_port = htons(53);
    inet_pton(AF_INET, "192.0.2.10", &service.sin_addr);
    ASSERT_EQ(bind(backend_, reinterpret_cast<const sockaddr*>(&service), sizeof(service)), 0);
  }
  void TearDown() override {
    for (const int fd : {client_, backend_})
      if (fd >= 0) close(fd);
    lab_.reset();
    Life::TearDown();
  }

  // An lbd, which says how many flows it found, or "error: " and the sentence.
  std::unique_ptr<ChildInLab> lbd() {
    return std::make_unique<ChildInLab>(*lab_, [this] {
      using Answer = std::pair<std::string, std::function<void()>>;
      auto started = XdpEngine::start({.interfaces = {{"wan", GetParam()}, {"lan", GetParam()}},
                                       .folder = folder(),
                                       .key = lab::kLabKey,
                                       .flows = 4096,
                                       .orphan_after_s = 60,
                                       .log = [](std::string_view) {}});
      if (!started) return Answer("error: " + started.error().message, {});
      std::shared_ptr<XdpEngine> engine = std::move(*started);
      const auto published = engine->publish(lab::compile(lab::make_world(model::Forward::kDsr, lab_->mtu()), 1));
      if (!published) return Answer("error: " + published.error().message, {});
      return Answer(std::to_string(engine->flows()->count().live), [engine]() mutable { engine.reset(); });
    });
  }
  // Whether a datagram from that socket reached the backend within two seconds.
  bool delivered(int from) const {
    const std::string sent = "a datagram";
    std::string got(100, '\0');
    if (send(from, sent.data(), sent.size(), 0) != static_cast<ssize_t>(sent.size())) return false;
    const ssize_t n = recv(backend_, got.data(), got.size(), 0);
    got.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return got == sent;
  }
  bool ping_works() const { return lab_->run("client", "ping -q -c 2 -W 2 -i 0.2 10.1.0.1 >/dev/null") == 0; }
  bool is_attached() const { return lab_->run("lbd", "sh -c 'ip link show dev wan | grep -q xdp'") == 0; }
  // Whether lbd's kernel answers (port unreachable): it saw it.
  bool kernel_answers() const {
    char byte = 'x';
    (void)!send(client_, &byte, 1, 0);
    return recv(client_, &byte, 1, 0) < 0 && errno == ECONNREFUSED;
  }

  std::unique_ptr<Lab> lab_;
  int client_ = -1, backend_ = -1;
};

INSTANTIATE_TEST_SUITE_P(Modes, XdpTraffic, testing::Values(model::XdpMode::kNative, model::XdpMode::kGeneric),
                         [](const auto& mode) { return mode.param == model::XdpMode::kNative ? "native" : "generic"; });

TEST_P(XdpTraffic, OwnedIsForwardedAndTheRestStaysTheKernels) {
  auto first = lbd();
  ASSERT_EQ(first->said(), "0");
  EXPECT_TRUE(ping_works()) << "the kernel lost its interface";
  EXPECT_EQ(lab_->run("client", "ip neigh flush dev eth0"), 0);
  for (int i = 0; i < 20; i++) {
    const int another = lab_->udp_client();
    EXPECT_TRUE(delivered(another)) << "flow " << i;
    close(another);
  }
  first->end();
  EXPECT_FALSE(is_attached());
  EXPECT_TRUE(kernel_answers()) << "lbd has let go";
}

TEST_P(XdpTraffic, NoPacketIsLostWhileLbdIsKilledAndReplaced) {
  auto first = lbd();
  ASSERT_EQ(first->said(), "0");
  ASSERT_TRUE(delivered(client_));
  std::atomic<bool> stop = false;
  std::atomic<uint32_t> sent = 0;
  std::set<uint32_t> got;
  std::thread sender([&] {
    for (uint32_t number = 0; !stop; number++) {
      if (send(client_, &number, sizeof(number), 0) == sizeof(number)) sent++;
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    }
  });
  std::thread receiver([&] {
    uint32_t number = 0;  // ends two seconds after the last
    while (recv(backend_, &number, sizeof(number), 0) == sizeof(number)) got.insert(number);
  });
  const auto more = [&] {
    const uint32_t before = sent;
    while (sent < before + 100) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  };
  more();
  first->kill();
  EXPECT_TRUE(is_attached());
  more();  // without lbd
  auto second = lbd();
  EXPECT_EQ(second->said(), "1") << "the flow is known";
  more();
  stop = true;
  sender.join();
  receiver.join();
  EXPECT_EQ(got.size(), sent);
  second->end();
  EXPECT_FALSE(is_attached());
}

}  // namespace
}  // namespace lb::xdp
