// Ports by kernel interface name with real packets in network namespaces: what is owned goes through lbd, everything
// else stays the kernel's, and nothing of ours is left on the interface, however the process ends.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tests/unit/dpdk/engine_process.h"

namespace lb::dpdk {
namespace {

using testing::EngineProcess;
using testing::Lab;

sockaddr_in address(const char* text, uint16_t port) {
  sockaddr_in a = {};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  inet_pton(AF_INET, text, &a.sin_addr);
  return a;
}

class Interface : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = testing::why_no_lab(); !why.empty()) GTEST_SKIP() << why;
  }
  void TearDown() override {
    for (const int fd : sockets_) close(fd);
  }
  int keep(int fd) {
    sockets_.push_back(fd);
    return fd;
  }
  int client(const Lab& lab) { return keep(lab.udp_client()); }
  int backend(const Lab& lab) {
    const int fd = keep(lab.udp_socket("backend"));
    const sockaddr_in service = address("192.0.2.10", 53);
    EXPECT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&service), sizeof(service)), 0);
    return fd;
  }
  // Whether the datagram reached the backend within two seconds.
  static bool delivered(int from, int to, size_t size) {
    std::string sent(size, 'x'), got(size + 100, '\0');
    if (send(from, sent.data(), sent.size(), 0) != static_cast<ssize_t>(sent.size())) return false;
    const ssize_t n = recv(to, got.data(), got.size(), 0);
    got.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return got == sent;
  }
  // Whether lbd's kernel answers a datagram to the service (port unreachable): it saw it.
  static bool kernel_answers(int from) {
    char byte = 'x';
    (void)!send(from, &byte, 1, 0);
    return recv(from, &byte, 1, 0) < 0 && errno == ECONNREFUSED;
  }
  static bool ping_works(const Lab& lab) {
    return lab.run("client", "ping -q -c 2 -W 2 -i 0.2 10.1.0.1 >/dev/null") == 0;
  }
  static bool interface_is_clean(const Lab& lab) {
    return lab.run("lbd", "sh -c 'ip link show dev wan | grep -q xdp'") != 0;
  }

  // Everything that must hold while an engine runs with that driver, and after it was killed.
  void check_port(const Lab& lab, EngineProcess& engine, const std::string& driver) {
    ASSERT_EQ(engine.said().substr(0, driver.size()), driver);
    const int from = client(lab), to = backend(lab);
    EXPECT_TRUE(ping_works(lab)) << "the kernel lost its interface";
    EXPECT_EQ(lab.run("client", "ip neigh flush dev eth0"), 0);
    EXPECT_TRUE(delivered(from, to, 100)) << "after address resolution by the kernel on the same interface";
    for (int i = 0; i < 50; i++) ASSERT_TRUE(delivered(i % 2 == 0 ? from : client(lab), to, 1)) << "flow " << i / 2;
    char byte = 0;
    EXPECT_LT(recv(from, &byte, 1, MSG_DONTWAIT), 0);
    EXPECT_EQ(errno, EAGAIN) << "the kernel answered what lbd owns";
    engine.kill();
    EXPECT_TRUE(interface_is_clean(lab));
    EXPECT_TRUE(kernel_answers(from)) << "a filter of the killed process still takes packets";
  }

  std::vector<int> sockets_;
};

TEST_F(Interface, WithoutAnEngineTheKernelAnswers) {
  const Lab lab(1, 1500);
  EXPECT_TRUE(kernel_answers(client(lab)));
}

TEST_F(Interface, AfXdpTakesWhatIsOwnedAndLeavesTheRestToTheKernel) {
  const Lab lab(1, 1500);
  EngineProcess engine(lab, {0}, model::Forward::kDsr);
  check_port(lab, engine, "af_xdp native");
}

TEST_F(Interface, AfXdpWithOneWorkerPerQueue) {
  const Lab lab(2, 1500);
  EngineProcess engine(lab, {0, 1}, model::Forward::kDsr);
  check_port(lab, engine, "af_xdp native");
}

TEST_F(Interface, AfXdpWithFewerQueuesThanWorkersHandsPacketsOver) {
  const Lab lab(1, 1500);
  EngineProcess engine(lab, {0, 1}, model::Forward::kDsr);
  check_port(lab, engine, "af_xdp native");
}

TEST_F(Interface, AfPacketWhereAFrameIsLargerThanAfXdpTakes) {
  const Lab lab(1, 3800);
  EngineProcess engine(lab, {0, 1}, model::Forward::kDsr);
  check_port(lab, engine, "af_packet");
}

TEST_F(Interface, EndsAndStartsAgain) {
  const Lab lab(1, 1500);
  const int from = client(lab), to = backend(lab);
  for (int i = 0; i < 2; i++) {
    EngineProcess engine(lab, {0}, model::Forward::kDsr);
    ASSERT_EQ(engine.said(), "af_xdp native");
    EXPECT_TRUE(delivered(from, to, 100));
    engine.end();
    EXPECT_TRUE(interface_is_clean(lab));
    EXPECT_TRUE(kernel_answers(from));
  }
}

TEST_F(Interface, LargestPacketsFitIntoATunnel) {
  for (const auto& [mtu, driver] : {std::pair{1600, "af_xdp native"}, std::pair{3300, "af_xdp native"},
                                    std::pair{3800, "af_packet"}, std::pair{9000, "af_packet"}}) {
    const Lab lab(1, mtu);
    EngineProcess engine(lab, {0}, model::Forward::kIpip);
    ASSERT_EQ(engine.said(), driver) << mtu;
    const int from = client(lab), tunnel = keep(lab.tunnel_socket("backend"));
    const auto payload = static_cast<size_t>(mtu - 20 - 20 - 8);  // outer, inner, UDP
    const std::string sent(payload, 'x');
    std::string got(10000, '\0');
    ASSERT_EQ(send(from, sent.data(), sent.size(), 0), static_cast<ssize_t>(sent.size()));
    const ssize_t n = recv(tunnel, got.data(), got.size(), 0);
    EXPECT_EQ(n, mtu);
    EXPECT_EQ(got.substr(48, payload), sent);
  }
}

TEST_F(Interface, ASecondEngineIsToldThatTheInterfaceIsBusy) {
  {
    const Lab lab(1, 1500);
    EngineProcess first(lab, {0}, model::Forward::kDsr);
    ASSERT_EQ(first.said(), "af_xdp native");
    EngineProcess second(lab, {0}, model::Forward::kDsr);
    EXPECT_NE(second.said().find("error: port wan: wan is busy: another XDP program is attached (xsk_def_prog"),
              std::string::npos)
        << second.said();
  }
  const Lab lab(1, 3800);
  EngineProcess first(lab, {0, 1}, model::Forward::kDsr);
  ASSERT_EQ(first.said(), "af_packet");
  EngineProcess second(lab, {0, 1}, model::Forward::kDsr);
  EXPECT_NE(second.said().find("error: port wan: wan is busy: process "), std::string::npos) << second.said();
}

TEST_F(Interface, AnInterfaceThatIsDownIsToldWithTheCommandThatMendsIt) {
  const Lab lab(1, 1500);
  ASSERT_EQ(lab.run("lbd", "ip link set dev wan down"), 0);
  EngineProcess engine(lab, {0}, model::Forward::kDsr);
  EXPECT_NE(engine.said().find("error: port wan: wan is down; bring it up: ip link set dev wan up"), std::string::npos)
      << engine.said();
}

TEST_F(Interface, WithoutRightsItIsToldWhichOnesAreMissing) {
  const Lab lab(1, 1500);
  EngineProcess engine(lab, {0}, model::Forward::kDsr, 65534);
  EXPECT_EQ(engine.said().substr(0, 16), "error: port wan:") << engine.said();
  EXPECT_NE(engine.said().find("not permitted; run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW"),
            std::string::npos)
      << engine.said();
}

TEST_F(Interface, OffloadsThatMergePacketsAreOffWhileItRunsAndOnAgainAfterwards) {
  const Lab lab(1, 1500);
  const std::string gro_is_on = "sh -c 'ethtool -k wan | grep -q \"^generic-receive-offload: on\"'";
  ASSERT_EQ(lab.run("lbd", "ethtool -K wan gro on"), 0);
  EngineProcess engine(lab, {0}, model::Forward::kDsr);
  ASSERT_EQ(engine.said(), "af_xdp native");
  EXPECT_NE(lab.run("lbd", gro_is_on), 0);
  engine.end();
  EXPECT_EQ(lab.run("lbd", gro_is_on), 0);
}

}  // namespace
}  // namespace lb::dpdk
