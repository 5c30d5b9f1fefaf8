// config check --host: what is told of a made-up machine, and where in the document.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/command_line.h"
#include "dataplane/host/cores.h"
#include "tests/unit/net/fake_sysfs.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct Outcome {
  int exit;
  std::string out, err;
};

constexpr const char* kGood =
    "version: 1\n"
    "pools:\n  fe: {backends: [{name: a, address: 10.0.0.1}, {name: b, address: 10.0.0.2}]}\n"
    "services:\n  web: {listen: [\"192.0.2.10:80/tcp\"], pool: fe}\n";

// A machine with one NIC that vfio-pci has, and /dev/net/tun.
class ConfigCheckHost : public testing::Test {
 protected:
  static constexpr const char* kNic = "0000:3b:00.0";
  ConfigCheckHost() {
    sysfs_.add_device(kNic, "0x8086", "0x1572", "0x020000");
    sysfs_.bind(kNic, "vfio-pci");
    sysfs_.set_group(kNic, 31);
    std::filesystem::create_directories(sysfs_.root() + "/dev/net/tun");
  }
  static std::string document(const std::string& ports) {
    return fmt::format("version: 1\ndaemon:\n  dpdk:\n    workers: [{}]\n    huge-pages: off\n    ports:\n{}",
                       host::allowed_cores().front(), ports) +
           std::string(kGood).substr(std::string(kGood).find("pools"));
  }
  Outcome check(const std::string& text, std::vector<std::string> words = {"--host"}) {
    words.insert(words.begin(), {"config", "check", "-"});
    std::istringstream in(text);
    std::ostringstream out, err;
    const int exit = run_command_line(words, {in, out, err}, {[this](CLI::App&, Session& session) {
                                        session.machine = {};
                                        session.machine.sysfs = session.machine.proc = sysfs_.root();
                                        session.machine.dev = sysfs_.root() + "/dev";
                                      }});
    return {exit, out.str(), err.str()};
  }
  tests::FakeSysfs sysfs_;
};

TEST_F(ConfigCheckHost, IsSaidNotToBeJudgedUnlessItIs) {
  const std::string text = document("      - {name: wan, device: \"0000:99:00.0\"}\n");
  const Outcome form = check(text, {});
  EXPECT_EQ(form.exit, kDone);
  EXPECT_EQ(form.out,
            "-: valid: 1 service, 1 pool, 2 backends\n"
            "this host was not judged: `--host` does that, on the machine where lbd is to run\n");
  const json object = json::parse(check(text, {"--json"}).out);
  EXPECT_EQ(object.at("host").at("judged"), false);
  EXPECT_EQ(json::parse(check(kGood, {"--json"}).out).at("host"), nullptr) << "services are for any host";
}

TEST_F(ConfigCheckHost, ThatHasItAll) {
  const Outcome good = check(document("      - {name: wan, device: \"3b:00.0\"}\n"));
  EXPECT_EQ(good.exit, kDone) << good.out << good.err;
  EXPECT_EQ(good.out, "-: valid: 1 service, 1 pool, 2 backends\nthis host has what it needs\n");
}

TEST_F(ConfigCheckHost, EveryProblemHasItsPlaceInTheDocument) {
  const std::string text = document(
      "      - {name: wan, device: \"3b:00.0\"}\n"
      "      - {name: lan, device: \"0000:99:00.0\"}\n"
      "      - name: dmz\n        device: nosuch0\n");
  const Outcome bad = check(text);
  EXPECT_EQ(bad.exit, kRefused);
  EXPECT_NE(
      bad.out.find("stdin:8:29: daemon.dpdk.ports[1].device: there is no PCI device 0000:99:00.0 here; see: lspci "
                   "-D\nstdin:10:17: daemon.dpdk.ports[2].device: no such device: 'nosuch0'"),
      std::string::npos)
      << bad.out;
  EXPECT_NE(bad.out.find("-: valid: 1 service, 1 pool, 2 backends, but not on this host: 2 problems\n"),
            std::string::npos)
      << bad.out;
  const json object = json::parse(check(text, {"--host", "--json"}).out);
  ASSERT_EQ(object.at("problems").size(), 2u);
  EXPECT_EQ(object.at("problems").at(0).at("line"), 8);
  EXPECT_EQ(object.at("host").at("judged"), true);
  EXPECT_EQ(object.at("host").at("problems"), 2);
}

// huge-pages is not in the document: its note stands at what it would stand in.
TEST_F(ConfigCheckHost, NotesRefuseNothing) {
  std::string text = document("      - {name: wan, device: \"3b:00.0\"}\n");
  const std::string off = "    huge-pages: off\n";
  text.erase(text.find(off), off.size());
  const Outcome noted = check(text);
  EXPECT_EQ(noted.exit, kDone);
  EXPECT_NE(noted.out.find("note: stdin:4:5: daemon.dpdk.huge-pages: NICs are driven without huge pages"),
            std::string::npos)
      << noted.out;
  EXPECT_NE(noted.out.find("this host has what it needs\n"), std::string::npos);
}

TEST_F(ConfigCheckHost, TheDocumentComesFirst) {
  const Outcome bad = check("version: 1\ndaemon:\n  dpdk: {workers: [0], ports: [{name: Wan, device: nosuch0}]}\n");
  EXPECT_EQ(bad.exit, kRefused);
  EXPECT_EQ(bad.out.find("no such device"), std::string::npos) << bad.out;
  EXPECT_NE(bad.out.find("this host was not judged: the document's problems come first\n"), std::string::npos);
  const Outcome services = check(kGood);
  EXPECT_EQ(services.exit, kDone);
  EXPECT_NE(services.out.find("this host was not judged: the document has no section `daemon`\n"), std::string::npos);
}

}  // namespace
}  // namespace lb::ctl
