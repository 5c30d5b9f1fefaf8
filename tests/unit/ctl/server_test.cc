// The socket: whose it is, and what a client can and cannot do to the daemon.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

class ServerTest : public ServerFixture {};

TEST_F(ServerTest, TheSocketIsForItsOwnerOnly) {
  boot();
  struct stat st {};
  ASSERT_EQ(stat(socket_.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777, 0600u);
}

TEST_F(ServerTest, ALiveDaemonIsNamedByItsPid) {
  boot();
  auto second = SocketClaim::take(socket_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, net::Code::kUnavailable);
  EXPECT_NE(second.error().message.find("pid " + std::to_string(getpid())), std::string::npos)
      << second.error().message;
  // Even without the lock file: who listens is asked.
  std::filesystem::remove(socket_ + ".lock");
  auto third = SocketClaim::take(socket_);
  ASSERT_FALSE(third);
  EXPECT_NE(third.error().message.find("pid " + std::to_string(getpid())), std::string::npos);
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object()) << "unharmed";
}

TEST(SocketClaim, AStaleSocketIsReplacedAndOthersFilesAreNot) {
  TempDir dir;
  LogSink before = set_log_sink([](LogLevel, const std::string&) {});
  const std::string path = dir / "s";
  {
    UniqueFd dead(socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  {
    auto claim = SocketClaim::take(path);
    ASSERT_TRUE(claim) << claim.error().message;
    EXPECT_TRUE(TestClient(path).connected());
  }
  EXPECT_FALSE(std::filesystem::exists(path)) << "taken away with its owner";
  spill(path, "precious");
  auto refused = SocketClaim::take(path);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is no socket"), std::string::npos);
  EXPECT_EQ(slurp(path), "precious");
  auto long_path = SocketClaim::take(dir / std::string(200, 'x'));
  ASSERT_FALSE(long_path);
  EXPECT_EQ(long_path.error().code, net::Code::kInvalid);
  set_log_sink(before);
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  boot();
  TestClient client(socket_);
  std::string lines;
  for (int i = 1; i <= 200; i++) {
    lines += Json{{"jsonrpc", "2.0"}, {"id", i}, {"method", i % 2 ? "hello" : "pool.list"}}.dump() + '\n';
  }
  ASSERT_TRUE(client.send(lines));
  for (int i = 1; i <= 200; i++) {
    const Json answer = Json::parse(client.line());
    EXPECT_EQ(answer["id"], i);
    EXPECT_TRUE(answer["result"].contains(i % 2 ? "protocol" : "pools"));
  }
}

TEST_F(ServerTest, ALineMayComeInPieces) {
  boot();
  TestClient client(socket_);
  const std::string line = R"({"jsonrpc":"2.0","id":"a","method":"hello"})"
                           "\n";
  for (char c : line) ASSERT_TRUE(client.send(std::string(1, c)));
  EXPECT_EQ(Json::parse(client.line())["id"], "a");
}

TEST_F(ServerTest, GarbageGetsItsErrorAndCloses) {
  boot();
  for (const std::string& garbage : {std::string("GET / HTTP/1.1\r"), std::string("{\"jsonrpc\":"), std::string(""),
                                     std::string("\x00\xff\xfe", 3), std::string(100000, '[')}) {
    TestClient client(socket_);
    ASSERT_TRUE(client.send(garbage + '\n'));
    const Json answer = Json::parse(client.line());
    EXPECT_EQ(answer["error"]["code"], -32700);
    EXPECT_EQ(answer["id"], nullptr);
    EXPECT_TRUE(client.at_end());
  }
}

TEST_F(ServerTest, WrongRequestsGetTheCodesOfJsonRpc) {
  boot();
  TestClient client(socket_);
  const auto code = [&](const std::string& text) {
    EXPECT_TRUE(client.send(text + '\n'));
    return Json::parse(client.line())["error"]["code"].get<int>();
  };
  EXPECT_EQ(code("[]"), -32600);
  EXPECT_EQ(code("1"), -32600);
  EXPECT_EQ(code(R"({"id":1,"method":"hello"})"), -32600);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","method":"hello"})"), -32600);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":{},"method":"hello"})"), -32600);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":7})"), -32600);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"config.burn"})"), -32601);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"hello","params":[1]})"), -32602);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"hello","params":{"x":1}})"), -32602);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"service.show","params":{"name":1}})"), -32602);
  EXPECT_EQ(code(R"({"jsonrpc":"2.0","id":1,"method":"service.show","params":{"name":"x"}})"), -32000);
  EXPECT_TRUE(client.result("hello").is_object()) << "the connection lives on";
}

TEST_F(ServerTest, TooLongALineIsRefused) {
  boot();
  TestClient client(socket_);
  client.send(std::string(kMaxLine + 70000, ' '));
  const Json answer = Json::parse(client.line());
  EXPECT_NE(answer["error"]["message"].get<std::string>().find("1 MiB"), std::string::npos);
  EXPECT_TRUE(client.at_end());
}

TEST_F(ServerTest, SlowClientsAreClosedAndOthersServed) {
  ServerLimits limits;
  limits.line_time = milliseconds(200);
  boot(limits);
  TestClient slow(socket_), silent(socket_);
  ASSERT_TRUE(slow.send("{\"jsonrpc\""));
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object());
  const Json answer = Json::parse(slow.line());
  EXPECT_EQ(answer["error"]["data"]["code"], "timeout");
  EXPECT_TRUE(slow.at_end());
  EXPECT_TRUE(silent.result("hello").is_object()) << "idle between lines is no fault";
}

TEST_F(ServerTest, AClientThatTakesNoAnswersIsClosed) {
  ServerLimits limits;
  limits.write_time = milliseconds(200);
  boot(limits);
  TestClient deaf(socket_);
  const int small = 4096;
  setsockopt(deaf.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  // Until the daemon stops reading from us, since we do not read from it.
  fcntl(deaf.fd(), F_SETFL, O_NONBLOCK);
  std::string lines;
  for (int i = 0; i < 1000; i++)
    lines += R"({"jsonrpc":"2.0","id":1,"method":"summary"})"
             "\n";
  deaf.send(lines);
  pollfd gone{deaf.fd(), POLLRDHUP, 0};
  EXPECT_EQ(poll(&gone, 1, 20000), 1);
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object());
}

TEST_F(ServerTest, ClientsAreLimited) {
  ServerLimits limits;
  limits.clients = 3;
  boot(limits);
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 3; i++) {
    clients.push_back(std::make_unique<TestClient>(socket_));
    clients.back()->result("hello");
  }
  TestClient extra(socket_);
  EXPECT_EQ(Json::parse(extra.line())["error"]["data"]["code"], "unavailable");
  EXPECT_TRUE(extra.at_end());
  clients.pop_back();
  // The daemon needs a moment to see that one has left.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  bool served = false;
  while (!served && std::chrono::steady_clock::now() < deadline) {
    TestClient next(socket_);
    next.send(R"({"jsonrpc":"2.0","id":1,"method":"hello"})"
              "\n");
    served = Json::parse(next.line()).contains("result");
  }
  EXPECT_TRUE(served);
}

TEST_F(ServerTest, LargeConfigurationsComeByDescriptor) {
  boot();
  TestClient client(socket_);
  std::string document = "version: 1\npools:\n  big:\n    backends:\n";
  for (int i = 0; i < 5000; i++) {
    document += "      - {name: b" + std::to_string(i) + ", address: 10.1." + std::to_string(i / 250) + "." +
                std::to_string(1 + i % 250) + "}\n";
  }
  document += "services:\n  s: {listen: [\"192.0.2.1:80/tcp\"], pool: big}\n";
  for (int i = 0; i < 1024; i++) document += "# " + std::string(1024, 'x') + "\n";
  const Json result = client.result("config.apply", {{"fd", true}, {"file", "big.yaml"}, {"allow_remove", 2}},
                                    memory_file(document).get());
  EXPECT_EQ(result["changed"], true);
  EXPECT_EQ(client.result("pool.list")["pools"][0]["backends"], 5000);

  const auto refused = [&](int fd) { return client.call("config.apply", {{"fd", true}}, fd)["error"]["message"]; };
  EXPECT_NE(refused(-1).get<std::string>().find("no descriptor"), std::string::npos);
  EXPECT_NE(refused(memory_file(std::string((16 << 20) + 1, ' ')).get()).get<std::string>().find("larger"),
            std::string::npos);
  UniqueFd folder(open(dir_.path().c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_NE(refused(folder.get()).get<std::string>().find("not a regular file"), std::string::npos);
}

TEST_F(ServerTest, DescriptorsThatNobodyTakesCloseTheConnection) {
  boot();
  TestClient client(socket_);
  UniqueFd file = memory_file("x");
  for (int i = 0; i < 5; i++)
    client.send(R"({"jsonrpc":"2.0","id":1,"method":"hello"})"
                "\n",
                file.get());
  Json last;
  for (std::string line = client.line(); !line.empty(); line = client.line()) last = Json::parse(line);
  EXPECT_NE(last["error"]["message"].get<std::string>().find("too many descriptors"), std::string::npos);
}

TEST_F(ServerTest, AByteNowAndThenIsNoProgress) {
  ServerLimits limits;
  limits.line_time = milliseconds(300);
  boot(limits);
  TestClient slow(socket_);
  size_t sent = 0;
  for (pollfd said{slow.fd(), POLLIN, 0}; sent < 10000 && poll(&said, 1, 10) == 0; sent++) slow.send("x");
  EXPECT_LT(sent, 10000u);
  EXPECT_EQ(Json::parse(slow.line())["error"]["data"]["code"], "timeout");
  EXPECT_TRUE(slow.at_end());
}

TEST_F(ServerTest, WhoConnectsAndAsksNothingIsClosed) {
  ServerLimits limits;
  limits.first_time = milliseconds(200);
  boot(limits);
  TestClient silent(socket_), second(socket_);
  EXPECT_TRUE(second.result("hello").is_object());
  const Json answer = Json::parse(silent.line());
  EXPECT_EQ(answer["error"]["data"]["code"], "timeout");
  EXPECT_NE(answer["error"]["message"].get<std::string>().find("no request came in time"), std::string::npos);
  EXPECT_TRUE(silent.at_end());
  EXPECT_TRUE(second.result("hello").is_object()) << "who asked once may be silent longer";
}

TEST_F(ServerTest, EndlessGarbageIsCutOff) {
  boot();
  for (const std::string& garbage :
       {std::string(1 << 20, 'A'), "{}" + std::string(1 << 20, ' ') + "]\n", std::string(1 << 20, '\0')}) {
    TestClient client(socket_);
    size_t sent = 0;
    while (sent < 1024 && client.send(garbage)) sent++;
    EXPECT_LT(sent, 4u) << "MB were taken";
    const Json answer = Json::parse(client.line());
    EXPECT_EQ(answer["error"]["data"]["code"], "invalid") << answer;
    EXPECT_TRUE(client.at_end());
  }
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object());
}

TEST_F(ServerTest, WhoClosedItsSendingHalfGetsItsAnswers) {
  boot();
  TestClient client(socket_);
  const std::string hello = R"({"jsonrpc":"2.0","id":1,"method":"hello"})";
  client.send(hello + '\n' + hello + '\n' + hello);
  shutdown(client.fd(), SHUT_WR);
  EXPECT_TRUE(Json::parse(client.line()).contains("result"));
  EXPECT_TRUE(Json::parse(client.line()).contains("result"));
  EXPECT_NE(client.line().find("the last line has no end"), std::string::npos);
  EXPECT_TRUE(client.at_end());
  TestClient deaf(socket_);
  deaf.send(hello + '\n');
  shutdown(deaf.fd(), SHUT_RDWR);
  EXPECT_TRUE(TestClient(socket_).result("hello").is_object());
}

}  // namespace
}  // namespace lb::ctl
