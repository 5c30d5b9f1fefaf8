// Configurations of other products against what is to become of them. LBCTL_GOLDEN=write rewrites the documents.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "tests/unit/import/fixtures.h"

namespace lb::importing {
namespace {

net::Result<Outcome> import(const std::string& format, const std::string& text, const Given& given = {},
                            const model::Reader& reader = model::no_includes()) {
  return import_text(*find_format(format), text, "/etc/x/x.conf", given, reader);
}

// The configuration that the document is; it must be one.
model::Config config_of(const net::Result<Outcome>& outcome) {
  EXPECT_TRUE(outcome) << (outcome ? "" : outcome.error().message);
  if (!outcome) return {};
  const model::Parsed parsed = model::parse_config(outcome->text, "out", model::no_includes());
  for (const model::Problem& p : parsed.problems) ADD_FAILURE() << p.to_string() << "\n" << outcome->text;
  return parsed.config;
}

// One sentence holds all of these words.
bool misses(const Outcome& outcome, const std::vector<std::string>& words) {
  return std::any_of(outcome.missing.begin(), outcome.missing.end(), [&](const std::string& sentence) {
    return std::all_of(words.begin(), words.end(),
                       [&](const std::string& w) { return sentence.find(w) != std::string::npos; });
  });
}

Given given(const std::string& address) {
  return {{net::Address::parse(address).value()}, {}};
}

TEST(Import, EveryFixtureBecomesItsDocument) {
  const bool write = std::getenv("LBCTL_GOLDEN") != nullptr;
  size_t formats = 0;
  std::string seen;
  for (const Fixture& f : fixtures()) {
    ASSERT_NE(f.format, nullptr) << f.name;
    formats += seen.find(std::string(f.format->name)) == std::string::npos;
    seen += f.format->name;
    const auto outcome = import_text(*f.format, f.text, f.name + ".in", {}, model::no_includes());
    config_of(outcome);
    std::string text = outcome->text + "# To mend:\n";
    for (const std::string& sentence : outcome->missing) text += "# " + sentence + "\n";
    std::filesystem::path golden = f.path;
    golden.replace_extension(".yaml");
    if (write) std::ofstream(golden, std::ios::binary) << text;
    EXPECT_EQ(read_whole(golden), text) << f.name;
  }
  EXPECT_EQ(formats, 4u) << "a format without a fixture";
}

// A line without any word of its own: a comment, or the end of a block.
bool says_nothing(const std::string& line) {
  const size_t first = line.find_first_not_of(" \t\r{};");
  return first == std::string::npos || line[first] == '#' || line[first] == '!';
}

TEST(Import, NoLineIsLost) {
  for (const Fixture& f : fixtures()) {
    const std::string file = f.name + ".in";
    const auto outcome = import_text(*f.format, f.text, file, {}, model::no_includes());
    ASSERT_TRUE(outcome);
    std::istringstream lines(f.text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      if (says_nothing(line)) continue;
      const bool is_told = outcome->text.find("# " + file + ":" + std::to_string(number) + ":") != std::string::npos;
      EXPECT_TRUE(is_told || outcome->taken.contains({file, number})) << file << ":" << number << ": " << line;
    }
  }
}

TEST(Import, NoPasswordTravels) {
  for (const Fixture& f : fixtures()) {
    const auto outcome = import_text(*f.format, f.text, f.name, {}, model::no_includes());
    EXPECT_EQ(outcome->text.find("hunter2"), std::string::npos) << f.name;
  }
}

TEST(Import, WhatEverybodyStartsWithOnNginx) {
  Given all = given("192.0.2.10");
  const std::string text = read_whole(LB_SOURCE_ROOT "/tests/golden/import/nginx_two_servers.in");
  const auto unresolved = import("nginx", text);
  EXPECT_TRUE(misses(*unresolved, {"/etc/x/x.conf:4:", "srv1.example.com", "--resolve"}));
  EXPECT_TRUE(misses(*unresolved, {"/etc/x/x.conf:9:", "listen 80", "--address"}));
  all.hosts = {{"srv1.example.com", net::Address::parse("10.0.0.11").value()},
               {"srv2.example.com", net::Address::parse("2001:db8::12").value()}};
  const auto outcome = import("nginx", text, all);
  const model::Config config = config_of(outcome);
  EXPECT_EQ(outcome->missing, std::vector<std::string>{});
  EXPECT_EQ(config.services.at("myapp1").listen.at(0).to_string(), "192.0.2.10:80/tcp");
  EXPECT_EQ(config.services.at("myapp1").schedule, model::Schedule::kMaglev);
  ASSERT_EQ(config.pools.at("myapp1").backends.size(), 2u);
  EXPECT_EQ(config.pools.at("myapp1").backends[0].name, "srv1.example.com");
  EXPECT_EQ(config.pools.at("myapp1").backends[0].weight, 100u);
}

TEST(Import, WhatEverybodyStartsWithOnHaproxy) {
  const auto outcome =
      import("haproxy", read_whole(LB_SOURCE_ROOT "/tests/golden/import/haproxy_two_servers.in"), given("192.0.2.10"));
  const model::Config config = config_of(outcome);
  EXPECT_EQ(outcome->missing, std::vector<std::string>{});
  EXPECT_EQ(config.services.at("www").listen.at(0).to_string(), "192.0.2.10:80/tcp");
  EXPECT_EQ(config.services.at("www").pool, "servers");
  EXPECT_EQ(config.pools.at("servers").backends.size(), 2u);
  EXPECT_NE(outcome->text.find("`round-robin`) is not in this version"), std::string::npos);
}

TEST(Import, ForwardModesOfIpvs) {
  const auto outcome = import("ipvs", R"(-A -t 192.0.2.1:80 -s rr
-a -t 192.0.2.1:80 -r 10.0.0.1:80 -g -w 1
-a -t 192.0.2.1:80 -r 10.0.0.2:80 -i -w 1
-A -t 192.0.2.2:80 -s rr
-a -t 192.0.2.2:80 -r 10.0.0.1:80 -i -w 1
-A -t 192.0.2.3:80 -s rr
-a -t 192.0.2.3:80 -r 10.0.0.1:8080 -m -w 1
)");
  const model::Config config = config_of(outcome);
  EXPECT_EQ(config.services.at("tcp-192.0.2.1-80").forward, model::Forward::kDsr);
  EXPECT_EQ(config.services.at("tcp-192.0.2.2-80").forward, model::Forward::kIpip);
  EXPECT_EQ(config.services.at("tcp-192.0.2.3-80").forward, model::Forward::kIpip);
  EXPECT_TRUE(misses(*outcome, {"x.conf:3:", "-i", "dsr like the first"}));
  EXPECT_TRUE(misses(*outcome, {"x.conf:7:", "NAT is not in this version"}));
  EXPECT_TRUE(misses(*outcome, {"x.conf:7:", "192.0.2.3:80/tcp arrives at port 80, not at 8080"}));
  EXPECT_EQ(outcome->missing.size(), 3u);
}

TEST(Import, LongOptionsAndScriptsOfIpvs) {
  const model::Config config =
      config_of(import("ipvs", R"(ipvsadm --add-service --tcp-service=192.0.2.1:80 --scheduler sh
/sbin/ipvsadm --add-server --tcp-service 192.0.2.1:80 --real-server [2001:db8::1]:80 --ipip --weight 7
/sbin/ipvsadm -a -t 192.0.2.1:80 -r 10.0.0.2:80 -i
)"));
  const model::Service& service = config.services.at("tcp-192.0.2.1-80");
  EXPECT_EQ(service.schedule, model::Schedule::kSourceHash);
  ASSERT_EQ(config.pools.at(service.pool).backends.size(), 2u);
  EXPECT_EQ(config.pools.at(service.pool).backends[1].weight, 7u);
  EXPECT_EQ(config.pools.at(service.pool).backends[0].weight, 1u);
}

TEST(Import, WhatBreaksARuleIsTakenOutWithTheRule) {
  // Two services of one listener, a backend at a listener's address, a dsr service without a backend of its family.
  const auto outcome = import("keepalived", R"(
virtual_server 192.0.2.1 80 { lb_kind TUN
  real_server 10.0.0.1 80 { weight 1 }
  real_server 192.0.2.2 80 { weight 1 }
}
virtual_server_group g { 192.0.2.1 80
  192.0.2.2 80 }
virtual_server group g { lb_kind TUN
  real_server 10.0.0.2 80 { weight 1 } }
virtual_server 2001:db8::1 80 { lb_kind DR
  real_server 10.0.0.3 80 { weight 1 } }
)");
  const model::Config config = config_of(outcome);
  EXPECT_EQ(config.services.size(), 1u) << outcome->text;
  EXPECT_EQ(config.pools.at("tcp-192.0.2.1-80").backends.size(), 1u);
  EXPECT_TRUE(misses(*outcome, {"192.0.2.2", "left out"}));
  EXPECT_TRUE(misses(*outcome, {"virtual_server 2001:db8::1 80", "left as a comment"}));
  EXPECT_TRUE(misses(*outcome, {"overlaps 192.0.2.1:80/tcp of service g"}));
  EXPECT_EQ(config.services.at("g").listen.size(), 2u);
  EXPECT_NE(outcome->text.find("  # tcp-192.0.2.1-80:\n  #   listen:\n"), std::string::npos) << outcome->text;
}

TEST(Import, NamesAreMadeValidAndUnique) {
  const auto outcome = import("haproxy", R"(
listen WEB_1
  bind 192.0.2.1:80
  server A 10.0.0.1
  server a 10.0.0.2
listen web_1
  bind 192.0.2.2:80
  server "s p" 10.0.0.1
)");
  const model::Config config = config_of(outcome);
  EXPECT_TRUE(config.services.contains("web_1") && config.services.contains("web_1-2")) << outcome->text;
  EXPECT_EQ(config.pools.at("web_1").backends[1].name, "a-2");
  EXPECT_EQ(config.pools.at("web_1-2").backends[0].name, "s-p");
  EXPECT_NE(outcome->text.find("WEB_1 is called web_1 here"), std::string::npos) << outcome->text;
  EXPECT_NE(outcome->text.find("a is called a-2 here: that name is taken"), std::string::npos) << outcome->text;
}

model::Reader folder(std::map<std::string, std::string> files) {
  return {
      [files](const std::string& pattern) -> net::Result<std::vector<std::string>> {
        std::vector<std::string> found;
        for (const auto& [path, text] : files)
          if (path == pattern || (pattern.ends_with("/*") && path.starts_with(pattern.substr(0, pattern.size() - 1))))
            found.push_back(path);
        if (found.empty() && !pattern.ends_with("*")) found.push_back(pattern);
        return found;
      },
      [files](const std::string& path) -> net::Result<std::string> {
        if (const auto it = files.find(path); it != files.end()) return it->second;
        return net::Error{net::Code::kNotFound, "cannot read " + path};
      }};
}

TEST(Import, IncludesAreFollowed) {
  const auto nginx = import(
      "nginx", "http { include conf.d/*; include mime.types; include gone.conf; }", {},
      folder({{"/etc/x/conf.d/a.conf", "upstream u { server 10.0.0.1; }"},
              {"/etc/x/conf.d/b.conf", "server { listen 192.0.2.1:80;\n location / { proxy_pass http://u; } }"}}));
  EXPECT_EQ(config_of(nginx).services.size(), 1u) << nginx->text;
  EXPECT_TRUE(misses(*nginx, {"x.conf:1:", "include gone.conf", "cannot read /etc/x/gone.conf"}));
  EXPECT_EQ(nginx->missing.size(), 1u);
  const auto keepalived = import(
      "keepalived", "include d/*\n", {},
      folder({{"/etc/x/d/v", "virtual_server 192.0.2.1 80 {\n include r\n lb_kind TUN\n}\n"}, {"/etc/x/d/r", ""}}));
  EXPECT_EQ(config_of(keepalived).services.size(), 1u);
  const auto loop = import("keepalived", "include d\n", {}, folder({{"/etc/x/d", "include d\ninclude d\n"}}));
  ASSERT_FALSE(loop);
  EXPECT_NE(loop.error().message.find("/etc/x/d:1: includes go on and on"), std::string::npos);
}

TEST(Import, WhatIsOfAnotherFormatIsRefusedWithItsPlace) {
  const auto refusal = [](const std::string& format, const std::string& text) {
    const auto outcome = import(format, text);
    return outcome ? "taken: " + outcome->text : outcome.error().message;
  };
  EXPECT_EQ(refusal("nginx", "http {\n server {\n"), "/etc/x/x.conf:2: the block of `server` is not closed");
  EXPECT_EQ(refusal("nginx", "http { }\n}\n"), "/etc/x/x.conf:2: `}` closes nothing");
  EXPECT_EQ(refusal("nginx", "user x;\nlisten 80"), "/etc/x/x.conf:2: the last statement has no `;`");
  EXPECT_EQ(refusal("nginx", "a \"b;\n"), "/etc/x/x.conf:1: a quote is not closed");
  EXPECT_NE(refusal("nginx", "hello;").find("is this an nginx.conf?"), std::string::npos);
  EXPECT_EQ(refusal("keepalived", "a {\n"), "/etc/x/x.conf:1: the block of `a` is not closed");
  EXPECT_NE(refusal("keepalived", "hello world\n").find("is this a keepalived.conf?"), std::string::npos);
  EXPECT_NE(refusal("haproxy", "hello world\n").find("is this a haproxy.cfg?"), std::string::npos);
  EXPECT_NE(refusal("ipvs", "hello world\n").find("`ipvsadm-save -n`"), std::string::npos);
  EXPECT_NE(refusal("ipvs", std::string(kMaxSourceBytes + 1, '\n')).find("at most 4,194,304 are read"),
            std::string::npos);
}

TEST(Import, OfNothingIsNothing) {
  for (const char* format : {"ipvs", "keepalived", "nginx", "haproxy"}) {
    const auto outcome = import(format, "# a comment\n\n");
    EXPECT_EQ(config_of(outcome).services.size(), 0u) << format;
    EXPECT_EQ(outcome->missing.size(), 0u) << format;
  }
}

TEST(Import, TenThousandServersAreReadAtOnce) {
  std::string text = "listen big\n  bind 192.0.2.1:80\n";
  for (int i = 0; i < 10'000; ++i)
    text += "  server s" + std::to_string(i) + " 10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250 + 1) +
            ":80 check weight 10\n";
  EXPECT_EQ(config_of(import("haproxy", text)).pools.at("big").backends.size(), 10'000u);
}

}  // namespace
}  // namespace lb::importing
