// A thousand services over two hundred pools of a hundred backends: whether it is all done, and right. Times are
// recorded, not judged; what is wanted of a quiet machine is 5 s for an apply, 100 ms for a change of one backend and
// 0.3 s for an answer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/unit/ctl/client.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string document() {
  std::string text = "version: 1\npools:\n";
  for (int p = 0; p < 200; p++) {
    text += fmt::format("  pool{}:\n    backends:\n", p);
    for (int b = 0; b < 100; b++) {
      text += fmt::format("      - {{name: b{0}, address: 10.{1}.{2}.{0}, weight: {3}}}\n", b + 1, 100 + p / 100,
                          p % 100, 50 + b % 50);
    }
  }
  text += "services:\n";
  for (int s = 0; s < 1000; s++) {
    text += fmt::format("  s{}: {{listen: [\"192.0.{}.{}:80/tcp\"], pool: pool{}}}\n", s, 2 + s / 250, 1 + s % 250,
                        s % 200);
  }
  return text;
}

class ScaleTest : public ServerFixture {
 protected:
  // Runs it, several times if so told, and tells the fastest.
  template <class F>
  void timed(const char* what, milliseconds wanted, int runs, F work) {
    auto took = milliseconds::max();
    for (int i = 0; i < runs; i++) {
      const auto begin = steady_clock::now();
      work();
      took = std::min(took, std::chrono::duration_cast<milliseconds>(steady_clock::now() - begin));
    }
    RecordProperty(what, static_cast<int>(took.count()));
    printf("%-12s %6ld ms (wanted %ld)\n", what, static_cast<long>(took.count()), static_cast<long>(wanted.count()));
  }
};

TEST_F(ScaleTest, TwentyThousandBackends) {
  boot();
  TestClient client(socket_);
  const UniqueFd file = memory_file(document());
  int weight = 200;
  timed("apply", milliseconds(5000), 1, [&] {
    const Json result = client.result("config.apply", {{"fd", true}, {"allow_remove", 2}}, file.get());
    EXPECT_EQ(result["changed"], true);
  });
  // The best of five: what else runs on the machine only adds.
  timed("change", milliseconds(100), 5, [&] {
    const Json result =
        client.result("backend.set", {{"select", {{"names", {"pool7/b3"}}}}, {"set", {{"weight", ++weight}}}});
    EXPECT_EQ(result["changed"], true);
    EXPECT_EQ(result["forecast"].size(), 5u) << "the services of that pool";
  });
  timed("summary", milliseconds(300), 5, [&] { EXPECT_EQ(client.result("summary")["services"].size(), 1000u); });
  timed("backends", milliseconds(1000), 1,
        [&] { EXPECT_EQ(client.result("backend.list")["backends"].size(), 20000u); });
  timed("same", milliseconds(5000), 1, [&] {
    const std::string text = client.result("config.show")["text"];
    EXPECT_EQ(client.result("config.apply", {{"fd", true}}, memory_file(text).get())["changed"], false);
  });
  timed("topology", milliseconds(100), 1, [&] {
    on_control([&] {
      topology_.why[net::Address::parse("10.100.5.1").value()] = "no route to 10.100.5.1";
      control_.topology_changed();
    });
  });
}

}  // namespace
}  // namespace lb::ctl
