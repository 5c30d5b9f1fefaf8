// The daemon, put together: configuration -> control's claims -> engine (with DPDK before it, or on XDP) -> control's
// event loop, and back in the reverse order. What goes wrong is one line on standard error and exit status 1.
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

#include "ctl/daemon.h"
#include "ctl/log.h"
#include "ctl/vip_holder.h"
#include "dataplane/dpdk/dpdk_engine.h"
#include "dataplane/dpdk/eal.h"
#include "dataplane/model/config_text.h"
#include "xdp/orphan.h"
#include "xdp/owned_filter.h"
#include "xdp/runtime.h"
#include "xdp/xdp_engine.h"

namespace {

using lb::net::Error;
using lb::net::Result;

constexpr int kRefused = 1;
constexpr int kUsage = 2;

int refuse(const Error& error) {
  fprintf(stderr, "lbd: %s\n", error.message.c_str());
  return kRefused;
}

Result<lb::model::Config> read_config(const std::string& path) {
  lb::model::Parsed parsed = lb::model::load_config(path, lb::model::file_reader());
  if (!parsed.problems.empty()) return lb::model::to_error(parsed.problems);
  return std::move(parsed.config);
}

void log_dpdk(std::string_view line) {
  lb::ctl::log(lb::ctl::LogLevel::kWarning, "dpdk", {{"message", line}});
}

void log_xdp(std::string_view line) {
  lb::ctl::log(lb::ctl::LogLevel::kWarning, "xdp", {{"message", line}});
}

// A killed lbd with engine xdp left its programs where our ports are to be; they would take our packets.
lb::net::Status end_former_xdp(const std::string& socket) {
  const auto orphans = lb::xdp::orphans();
  const auto found = orphans->show(socket);
  if (!found || found->interfaces.empty()) return {};  // who may not look has none either
  const auto ended = orphans->detach(socket, lb::model::Force::kYes, lb::model::Run::kReal);
  if (!ended) return ended.error();
  for (const auto& interface : ended->interfaces)
    log_xdp("the XDP program of a former lbd is taken off " + interface.name + ": the engine is dpdk now");
  return {};
}

// Declared in the order of dependence, so destroyed against it: the engine before DPDK.
int run_dpdk(lb::ctl::Control& control) {
  const lb::model::Daemon& daemon = control.config().daemon;
  if (auto ended = end_former_xdp(daemon.socket); !ended) return refuse(ended.error());
  const auto options = lb::dpdk::eal_options(daemon, log_dpdk);
  if (!options) return refuse(options.error());
  const auto eal = lb::dpdk::Eal::init(*options);
  if (!eal) return refuse(eal.error());
  const auto filters = lb::xdp::owned_filter_factory();
  const lb::dpdk::FlowOptions flows{.folder = std::filesystem::path(daemon.socket).replace_filename("flows").string(),
                                    .key = control.hash_key(),
                                    .flows = daemon.flows,
                                    .huge_pages = daemon.huge_pages != lb::model::HugePages::kOff};
  const auto engine = lb::dpdk::DpdkEngine::start(daemon, **eal, *filters, log_dpdk, flows);
  if (!engine) return refuse(engine.error());
  return lb::ctl::run_control(control, **engine);
}

// No DPDK and no huge pages are touched.
int run_xdp(lb::ctl::Control& control) {
  const lb::model::Daemon& daemon = control.config().daemon;
  const auto engine = lb::xdp::XdpEngine::start({.interfaces = daemon.interfaces,
                                                 .folder = lb::xdp::runtime_folder(daemon.socket),
                                                 .key = control.hash_key(),
                                                 .flows = daemon.flows,
                                                 .orphan_after_s = daemon.orphan_after_s,
                                                 .log = log_xdp});
  if (!engine) return refuse(engine.error());
  return lb::ctl::run_control(control, **engine);
}

// The engine ends before the socket is given up, so that no second daemon starts while this one still has the devices.
int run(const std::string& path) {
  const auto file = read_config(path);
  if (!file) return refuse(file.error());
  auto control = lb::ctl::prepare_control(*file, path);
  if (!control) return refuse(control.error());
  return (*control)->config().daemon.engine == "xdp" ? run_xdp(**control) : run_dpdk(**control);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("lbd, a layer 4 load balancer; steered by lbctl");
  std::string path = "/etc/lbd/lbd.yaml";
  bool check = false;
  app.add_option("-c,--config", path, "configuration file")->capture_default_str();
  app.add_flag("--check", check, "check the configuration file and exit: 0 or 1");
  std::string held;
  app.add_option(lb::ctl::kHoldOption, held)->group("");  // not for people: see vip_holder.h
  app.set_version_flag("--version", "lbd " LBD_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : kUsage;
  }
  if (!held.empty()) return lb::ctl::hold_announcement(held, *lb::xdp::orphans());
  if (!check) return run(path);
  const auto config = read_config(path);
  return config ? 0 : refuse(config.error());
}
