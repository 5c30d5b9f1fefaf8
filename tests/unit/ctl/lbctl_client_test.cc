#include "ctl/client.h"

#include <fstream>

#include "tests/unit/ctl/lbctl_fake_daemon.h"

namespace lb::ctl {
namespace {

using nlohmann::json;
using namespace std::chrono_literals;

constexpr auto kLong = 20s;     // never reached when the test passes
constexpr auto kShort = 100ms;  // waited for in full

Failure failure_of(const Answer& answer) {
  if (const auto* failure = std::get_if<Failure>(&answer)) return *failure;
  ADD_FAILURE() << "answered: " << std::get<json>(answer);
  return {};
}

void expect_words(const Failure& failure, const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(failure.message.find(word), std::string::npos) << "no \"" << word << "\" in: " << failure.message;
  }
}

TEST(Client, SaysHelloOnceAndReturnsResults) {
  FakeDaemon daemon(FakeDaemon::always({{"n", 7}}));
  Client client(daemon.socket(), kLong);
  for (int i = 0; i < 2; i++) EXPECT_EQ(std::get<json>(client.call("pool.list", json::object())), json({{"n", 7}}));
  ASSERT_EQ(daemon.requests().size(), 3u);
  EXPECT_EQ(daemon.requests()[0].json,
            json({{"jsonrpc", "2.0"}, {"id", 1}, {"method", "hello"}, {"params", json::object()}}));
  EXPECT_EQ(daemon.requests()[2].json.at("method"), "pool.list");
}

TEST(Client, ReadsAnAnswerOfManyMegabytes) {
  const std::string big(10 << 20, 'x');
  FakeDaemon daemon(FakeDaemon::always(big));
  EXPECT_EQ(std::get<json>(Client(daemon.socket(), kLong).call("m", json::object())), json(big));
}

TEST(Client, RefusalKeepsCodeSentenceAndProblems) {
  FakeDaemon daemon([](const Request& r) {
    return FakeDaemon::is_hello(r)
               ? FakeDaemon::hello(r)
               : FakeDaemon::error(r, "conflict", "would remove 2 services: --remove 2", {"a:1", "b:2"});
  });
  const Failure f = failure_of(Client(daemon.socket(), kLong).call("config.apply", json::object()));
  EXPECT_EQ(f.exit, kRefused);
  EXPECT_EQ(f.code, "conflict");
  EXPECT_EQ(f.message, "would remove 2 services: --remove 2");
  EXPECT_EQ(f.problems, (std::vector<std::string>{"a:1", "b:2"}));
}

TEST(Client, ShortTextTravelsInTheLineLongTextByDescriptor) {
  FakeDaemon daemon(FakeDaemon::always(json::object()));
  Client client(daemon.socket(), kLong);
  client.call("config.apply", {{"text", "version: 1\n"}});
  EXPECT_EQ(daemon.params().at("text"), "version: 1\n");
  EXPECT_FALSE(daemon.requests().back().attached);
  const std::string text(kInlineTextBytes + 1, '\x01');  // grows sixfold as JSON
  client.call("config.apply", {{"text", text}, {"file", "f"}});
  EXPECT_EQ(daemon.params(), json({{"fd", true}, {"file", "f"}}));
  EXPECT_EQ(daemon.requests().back().attached, text);
}

TEST(Client, LongestInlineTextFitsALine) {
  FakeDaemon daemon(FakeDaemon::always(json::object()));
  const std::string text(kInlineTextBytes, '\x01');
  EXPECT_TRUE(std::holds_alternative<json>(Client(daemon.socket(), kLong).call("m", {{"text", text}})));
}

TEST(Client, TextBeyondTheLimitIsRefusedHere) {
  FakeDaemon daemon(FakeDaemon::always(json::object()));
  const Failure f =
      failure_of(Client(daemon.socket(), kLong).call("m", {{"text", std::string(kMaxTextBytes + 1, 'x')}}));
  EXPECT_EQ(f.exit, kRefused);
  expect_words(f, {std::to_string(kMaxTextBytes)});
}

TEST(Client, RequestBeyondALineIsRefusedHere) {
  FakeDaemon daemon(FakeDaemon::always(json::object()));
  const Failure f =
      failure_of(Client(daemon.socket(), kLong).call("pool.add", {{"pool", std::string(kMaxRequestBytes, 'x')}}));
  EXPECT_EQ(f.exit, kRefused);
  expect_words(f, {"config apply"});
}

TEST(Client, NoSocketIsNoDaemon) {
  TempDir dir;
  const Failure f = failure_of(Client(dir.file("lbd.sock"), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {dir.file("lbd.sock"), "does not exist", "LBD_SOCKET"});
}

TEST(Client, StaleSocketIsNoDaemon) {
  TempDir dir;
  close(FakeDaemon::listen_at(dir.file("lbd.sock")));
  const Failure f = failure_of(Client(dir.file("lbd.sock"), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {dir.file("lbd.sock"), "left behind"});
}

TEST(Client, FileThatIsNoSocketIsSaidSo) {
  TempDir dir;
  std::ofstream(dir.file("lbd.sock")) << "text";
  const Failure f = failure_of(Client(dir.file("lbd.sock"), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {dir.file("lbd.sock"), "is no socket"});
}

TEST(Client, SocketWithoutPermissionNamesRoot) {
  TempDir dir;
  UniqueFd listener(FakeDaemon::listen_at(dir.file("lbd.sock")));
  ASSERT_EQ(chmod(dir.file("lbd.sock").c_str(), 0), 0);
  const bool is_root = geteuid() == 0;
  ASSERT_EQ(seteuid(is_root ? 65534 : geteuid()), 0);  // root may connect to every socket
  const Failure f = failure_of(Client(dir.file("lbd.sock"), kLong).call("summary", json::object()));
  ASSERT_EQ(seteuid(is_root ? 0 : geteuid()), 0);
  EXPECT_EQ(f.exit, kRefused);
  EXPECT_EQ(f.code, "permission");
  expect_words(f, {dir.file("lbd.sock"), "root"});
}

// A stranger, or one too many, is told why before it asks; its request may never have been taken.
TEST(Client, WhoIsTurnedAwayHearsTheReason) {
  for (const char* code : {"permission", "unavailable"}) {
    TempDir dir;
    const UniqueFd listener(FakeDaemon::listen_at(dir.file("lbd.sock")));
    std::thread daemon([&] {
      const UniqueFd client(accept(listener.get(), nullptr, nullptr));
      const std::string line =
          FakeDaemon::line({{"jsonrpc", "2.0"},
                            {"id", nullptr},
                            {"error", {{"code", -32000}, {"message", "not you"}, {"data", {{"code", code}}}}}});
      EXPECT_EQ(send(client.get(), line.data(), line.size(), MSG_NOSIGNAL), static_cast<ssize_t>(line.size()));
    });
    Client client(dir.file("lbd.sock"), kLong);
    const Failure f = failure_of(client.call("summary", json::object()));
    daemon.join();
    EXPECT_EQ(f.exit, kRefused);
    EXPECT_EQ(f.code, code);
    EXPECT_EQ(f.message, "not you");
  }
}

TEST(Client, PathTooLongForASocketIsAUsageError) {
  const Failure f = failure_of(Client("/tmp/" + std::string(200, 'x'), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kUsage);
  expect_words(f, {"205 bytes", "107"});
}

TEST(Client, GarbageIsNotTakenForLbd) {
  for (const char* garbage : {"HTTP/1.1 400 Bad Request\n", "\n", "[1,2]\n", "{}\n", "{\"id\":99,\"result\":{}}\n",
                              "{\"id\":1,\"result\":7}\n", "{\"id\":1,\"result\":{\"protocol\":\"one\"}}\n"}) {
    FakeDaemon daemon([garbage](const Request&) { return std::string(garbage); });
    const Failure f = failure_of(Client(daemon.socket(), kLong).call("summary", json::object()));
    EXPECT_EQ(f.exit, kNoDaemon) << garbage;
    expect_words(f, {daemon.socket(), "protocol 1"});
  }
}

TEST(Client, OtherProtocolIsNamed) {
  FakeDaemon daemon([](const Request& r) { return FakeDaemon::hello(r, 2); });
  const Failure f = failure_of(Client(daemon.socket(), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {"lbd 0.1.0", "protocol 2", "protocol 1"});
  EXPECT_EQ(daemon.requests().size(), 1u) << "nothing is asked of a daemon that is not understood";
}

TEST(Client, DaemonWithoutHelloIsTooOld) {
  FakeDaemon daemon([](const Request& r) { return FakeDaemon::error(r, "not_found", "no such method"); });
  const Failure f = failure_of(Client(daemon.socket(), kLong).call("summary", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {"hello"});
}

TEST(Client, ConnectionClosedInsteadOfAnAnswerLeavesTheOutcomeOpen) {
  FakeDaemon daemon([](const Request& r) -> std::optional<std::string> {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    return std::nullopt;
  });
  const Failure f = failure_of(Client(daemon.socket(), kLong).call("backend.set", json::object()));
  EXPECT_EQ(f.exit, kNoDaemon);
  expect_words(f, {daemon.socket(), "not known"});
}

TEST(Client, NoAnswerInTimeIsATimeout) {
  FakeDaemon daemon([](const Request& r) { return FakeDaemon::is_hello(r) ? FakeDaemon::hello(r) : std::string(); });
  Client client(daemon.socket(), kShort);
  const auto start = std::chrono::steady_clock::now();
  const Failure f = failure_of(client.call("backend.set", json::object()));
  EXPECT_GE(std::chrono::steady_clock::now() - start, kShort);
  EXPECT_EQ(f.exit, kTimedOut);
  expect_words(f, {daemon.socket(), "0.1 s", "--timeout"});
}

TEST(Client, HalfAnAnswerIsATimeoutToo) {
  FakeDaemon daemon([](const Request& r) { return FakeDaemon::is_hello(r) ? FakeDaemon::hello(r) : "{\"id\":2,"; });
  EXPECT_EQ(failure_of(Client(daemon.socket(), kShort).call("m", json::object())).exit, kTimedOut);
}

TEST(Client, AfterATimeoutTheNextCallHasAConnectionOfItsOwn) {
  int asked = 0;
  FakeDaemon daemon([&asked](const Request& r) {
    if (FakeDaemon::is_hello(r)) return FakeDaemon::hello(r);
    return ++asked == 1 ? std::string() : FakeDaemon::result(r, "second");
  });
  Client client(daemon.socket(), 1s);
  EXPECT_EQ(failure_of(client.call("m", json::object())).exit, kTimedOut);
  EXPECT_EQ(std::get<json>(client.call("m", json::object())), json("second"));
  EXPECT_EQ(daemon.requests().size(), 4u) << "two times hello, two times m";
}

TEST(Client, DaemonThatAcceptsNobodyIsATimeout) {
  TempDir dir;
  UniqueFd listener(FakeDaemon::listen_at(dir.file("lbd.sock")));
  EXPECT_EQ(failure_of(Client(dir.file("lbd.sock"), kShort).call("m", json::object())).exit, kTimedOut);
  // Its queue of connections full: connect() itself has to wait.
  std::vector<UniqueFd> waiting;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir.file("lbd.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  for (;;) {
    waiting.emplace_back(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    if (connect(waiting.back().get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
  }
  const Failure f = failure_of(Client(dir.file("lbd.sock"), kShort).call("m", json::object()));
  EXPECT_EQ(f.exit, kTimedOut);
  expect_words(f, {"accept"});
}

TEST(Client, ArgumentThatIsNotUtf8IsAUsageError) {
  FakeDaemon daemon(FakeDaemon::always(json::object()));
  EXPECT_EQ(failure_of(Client(daemon.socket(), kLong).call("m", {{"name", "\xff\xfe"}})).exit, kUsage);
}

}  // namespace
}  // namespace lb::ctl
