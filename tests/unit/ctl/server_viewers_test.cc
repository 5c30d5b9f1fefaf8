// The socket shared with viewers and strangers: what they cannot take from operators.
#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

// With viewers: uid 4002, and the group 4200.
class SharedServerTest : public ServerFixture {
 protected:
  SharedServerTest() : ServerFixture({{"%lbd", "root"}, {"%lbd-view", "bob"}}) {}
  void share(const ServerLimits& limits = {}) {
    boot(limits);
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0755));
  }
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else";
  }
  std::unique_ptr<TestClient> viewer(uid_t uid) { return connect_as(socket_, uid, 4200); }
  static std::string turned_away(TestClient& client) {
    const Json answer = Json::parse(client.line());
    EXPECT_EQ(answer["error"]["data"]["code"], "unavailable");
    EXPECT_TRUE(client.at_end());
    return answer["error"]["message"];
  }
};

TEST_F(SharedServerTest, ViewersCannotTakeThePlacesOfOperators) {
  ServerLimits limits;
  limits.clients = 7;
  limits.viewers = 5;
  limits.per_viewer = 3;
  share(limits);
  std::vector<std::unique_ptr<TestClient>> clients;
  const auto connect = [&](uid_t uid) {
    clients.push_back(viewer(uid));
    EXPECT_EQ(clients.back()->result("hello")["role"], "viewer");
  };
  for (int i = 0; i < 3; i++) connect(4001);
  EXPECT_NE(turned_away(*viewer(4001)).find("uid 4001 has 3 connections already"), std::string::npos);
  for (int i = 0; i < 2; i++) connect(4005);
  EXPECT_NE(turned_away(*viewer(4006)).find("5 viewers are connected, the other places are for operators"),
            std::string::npos);
  TestClient root(socket_);
  EXPECT_EQ(root.result("hello")["role"], "operator");
  auto group = connect_as(socket_, 4001, 5000, {4100});
  EXPECT_EQ(group->result("backend.drain", {{"select", {{"names", {"fe/fe11"}}}}})["changed"], true);
  TestClient extra(socket_);
  turned_away(extra);
}

TEST_F(SharedServerTest, AViewerThatTakesNoAnswersWaitsForHimself) {
  ServerLimits limits;
  limits.viewer_unsent = 1000;
  share(limits);
  Json flows = Json::array();
  for (int i = 0; i < 4096; i++)
    flows.push_back(
        {{"proto", "tcp"}, {"source", "198.51.100.7:" + std::to_string(1024 + i)}, {"destination", "192.0.2.10:80"}});
  auto deaf = viewer(4001), own = viewer(4001), other = viewer(4005);
  deaf->send(Json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "explain"}, {"params", {{"flows", flows}}}}.dump() + '\n');
  pollfd answered{deaf->fd(), POLLIN, 0};
  ASSERT_EQ(poll(&answered, 1, 20000), 1) << "more than a socket's buffer takes";
  own->send(R"({"jsonrpc":"2.0","id":1,"method":"hello"})"
            "\n");
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object());
  for (int i = 0; i < 10; i++) EXPECT_TRUE(other->result("hello").is_object());
  pollfd waits{own->fd(), POLLIN, 0};
  EXPECT_EQ(poll(&waits, 1, 0), 0);
  EXPECT_GT(deaf->line().size(), 1u << 19);
  EXPECT_TRUE(Json::parse(own->line()).contains("result"));
}

TEST_F(SharedServerTest, AStrangersGarbageIsNotRead) {
  share();
  auto stranger = connect_as(socket_, 4001, 5000);
  size_t sent = 0;
  while (sent < 1024 && stranger->send(std::string(1 << 16, 'A'))) sent++;
  EXPECT_LT(sent, 100u);
  EXPECT_EQ(Json::parse(stranger->line())["error"]["data"]["code"], "permission");
}

TEST_F(SharedServerTest, AViewersDocumentComesFromMemoryOnly) {
  share();
  auto client = viewer(4001);
  EXPECT_EQ(client->result("config.diff", {{"fd", true}}, memory_file("version: 1\n").get())["dry_run"], true);
  // Reading and closing it may wait for somebody: a pipe stands for a file of FUSE.
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const UniqueFd in(pipe_fds[0]), out(pipe_fds[1]);
  client->send(R"({"jsonrpc":"2.0","id":1,"method":"config.diff","params":{"fd":true}})"
               "\n",
               in.get());
  EXPECT_NE(client->line().find("no file in memory"), std::string::npos);
  EXPECT_TRUE(client->at_end());
}

TEST_F(SharedServerTest, ARefusedCallTakesItsDescriptorWithIt) {
  share();
  auto client = viewer(4001);
  EXPECT_EQ(client->call("config.apply", {{"fd", true}}, memory_file("not: ours\n").get())["error"]["data"]["code"],
            "permission");
  EXPECT_EQ(client->result("config.check", {{"fd", true}}, memory_file("version: 1\n").get())["problems"].size(), 0u)
      << "the next call's own document is read";
}

TEST_F(SharedServerTest, AnOperatorWaitsForOneRequestOfViewersAtMost) {
  std::atomic<int> handled = 0;
  engine_.on_ports = [&] {
    handled++;
    std::this_thread::sleep_for(milliseconds(3));
  };
  share();
  std::vector<std::unique_ptr<TestClient>> viewers;
  std::string lines;
  for (int i = 0; i < 100; i++) lines += "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"summary\"}\n";
  TestClient root(socket_);
  root.result("hello");
  for (int i = 0; i < 12; i++) {
    viewers.push_back(viewer(4001));
    viewers.back()->send(lines);
  }
  // The best of some rounds: between the lines of the test the machine may do something else.
  int fewest = 1000;
  for (int round = 0; round < 20; round++) {
    const int begun = handled;
    while (handled == begun) std::this_thread::yield();  // a viewer's is being handled
    const int before = handled;
    root.result("hello");
    fewest = std::min(fewest, handled - before);
  }
  EXPECT_LE(fewest, 1);
}

}  // namespace
}  // namespace lb::ctl
