#include "tests/unit/dpdk/engine_process.h"

#include <unistd.h>

#include <cstdio>

#include "dataplane/dpdk/dpdk_engine.h"
#include "xdp/owned_filter.h"

namespace lb::dpdk::testing {
namespace {

// Everything an engine needs, in the order of dependence.
struct Running {  // destroyed bottom up
  std::unique_ptr<Eal> eal;
  std::unique_ptr<model::OwnedFilterFactory> filters;
  std::unique_ptr<DpdkEngine> engine;
};

net::Result<std::unique_ptr<Running>> start(const model::Daemon& daemon, const lab::World& world) {
  const Log log = [](std::string_view line) {
    std::fprintf(stderr, "engine: %.*s\n", static_cast<int>(line.size()), line.data());
  };
  auto running = std::make_unique<Running>();
  const auto options = eal_options(daemon, log);
  if (!options) return options.error();
  auto eal = Eal::init(*options);
  if (!eal) return eal.error();
  running->eal = std::move(*eal);
  running->filters = xdp::owned_filter_factory();
  auto engine = DpdkEngine::start(daemon, *running->eal, *running->filters, log);
  if (!engine) return engine.error();
  running->engine = std::move(*engine);
  if (const auto report = running->engine->publish(lab::compile(world, 1)); !report) return report.error();
  return running;
}

}  // namespace

EngineProcess::EngineProcess(const Lab& lab, std::vector<uint32_t> workers, model::Forward forward, uid_t user)
    : ChildInLab(lab, [world = lab::make_world(forward, lab.mtu()), workers, user] {
        if (user != 0 && setresuid(user, user, user) != 0) lab::die("setresuid");
        model::Daemon daemon;
        daemon.workers = workers;
        daemon.huge_pages = model::HugePages::kOff;
        daemon.ports = {{.name = "wan", .device = "wan", .mtu = {}}, {.name = "lan", .device = "lan", .mtu = {}}};
        auto started = start(daemon, world);
        if (!started) return std::pair{"error: " + started.error().message, std::function<void()>()};
        std::shared_ptr<Running> running = std::move(*started);
        const std::string driver = running->engine->ports()[0].driver;
        return std::pair{driver, std::function<void()>([running]() mutable { running.reset(); })};
      }) {}

}  // namespace lb::dpdk::testing
