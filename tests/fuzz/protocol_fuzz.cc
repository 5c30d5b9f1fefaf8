// Request lines of any content against the dispatcher, with a fake engine and a state folder in memory: an answer for
// each, no crash, and what runs stays valid.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <nlohmann/json.hpp>
#include <string_view>

#include "ctl/controller.h"
#include "ctl/dispatcher.h"
#include "ctl/log.h"
#include "dataplane/model/validate.h"
#include "tests/unit/ctl/fakes.h"

namespace {

// Accepts every write and keeps nothing: the disk is no part of this.
class NoFiles : public lb::ctl::FileOps {
 public:
  int open(const char*, int, mode_t) override { return 1000; }
  ssize_t write(int, const void*, size_t bytes) override { return static_cast<ssize_t>(bytes); }
  int fsync(int) override { return 0; }
  int close(int) override { return 0; }
  int rename(const char*, const char*) override { return 0; }
  int link(const char*, const char*) override { return 0; }
  int unlink(const char*) override { return 0; }
};

struct World {
  World() {
    lb::ctl::set_log_sink([](lb::ctl::LogLevel, const std::string&) {});
    auto parsed = lb::model::parse_config(lb::ctl::kDocument, "fuzz", lb::model::no_includes());
    if (!parsed.problems.empty() || !control.start(parsed.config, std::nullopt)) std::abort();
  }
  NoFiles files;
  lb::ctl::FakeEngine engine;
  lb::ctl::FakeTopology topology;
  lb::ctl::StateStore store{"/nowhere", files};
  lb::ctl::Controller control{engine, topology, store, lb_hash_key{1, 2}};
  lb::ctl::Drift drift{"/nonexistent/lbd.yaml"};
  lb::ctl::Access access{{}, 0};
  lb::ctl::AuditLog audit{"/nowhere/audit.log", files};
  lb::ctl::Node node{control, drift, {}, {}, access, audit};
  lb::ctl::Dispatcher dispatcher{node};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static World world;
  static const lb::ctl::Peer root{.uid = 0};
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    std::deque<lb::ctl::UniqueFd> fds;
    const lb::ctl::Reply reply = world.dispatcher.handle(line, root, fds);
    const auto answer = nlohmann::json::parse(reply.line, nullptr, false);
    if (!answer.is_object() || answer.contains("result") == answer.contains("error")) std::abort();
    if (reply.line.find('\n') != std::string::npos) std::abort();
  }
  if (!lb::model::validate_services(world.control.config()).empty()) std::abort();
  return 0;
}
