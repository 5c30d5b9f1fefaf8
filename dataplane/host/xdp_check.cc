#include "dataplane/host/xdp_check.h"

#include <filesystem>

#include <fmt/format.h>

#include "dataplane/model/xdp_words.h"

namespace lb::host {
namespace {

class XdpHostCheck {
 public:
  XdpHostCheck(const model::Daemon& daemon, const Machine& machine) : daemon_(daemon), machine_(machine) {}

  std::vector<Finding> run() {
    if (machine_.why_no_xdp)
      if (std::string why = machine_.why_no_xdp(); !why.empty()) add(Finding::Kind::kProblem, "daemon.engine", why);
    const std::string tun = machine_.dev + "/net/tun";
    std::error_code none;
    if (!std::filesystem::exists(tun, none))
      add(Finding::Kind::kProblem, "daemon.engine", no_tun(tun, "No such file or directory"));
    for (size_t i = 0; i < daemon_.interfaces.size(); i++)
      check(daemon_.interfaces[i], fmt::format("daemon.xdp.interfaces[{}].", i));
    if (queues_ > model::kMaxXdpQueues)
      add(Finding::Kind::kProblem, "daemon.xdp.interfaces",
          model::too_many_xdp_queues(queues_, daemon_.interfaces.front().name));
    return std::move(found_);
  }

 private:
  void add(Finding::Kind kind, std::string path, std::string message) {
    found_.push_back({kind, std::move(path), std::move(message)});
  }

  void check(const model::XdpInterface& interface, const std::string& key) {
    const auto found = query_interface(interface.name);
    if (!found) return add(Finding::Kind::kProblem, key + "name", found.error().message);
    if (!found->up) add(Finding::Kind::kProblem, key + "name", model::xdp_interface_down(interface.name));
    queues_ += found->queues;
    if (interface.mode == model::XdpMode::kNative && found->mtu > model::kMaxNativeMtu)
      add(Finding::Kind::kNote, key + "mode",
          fmt::format("whether {} can be native shows when lbd starts: {}; mode: generic works with every driver",
                      interface.name, model::native_xdp_needs(found->mtu)));
    check_use(interface.name, key);
  }

  void check_use(const std::string& name, const std::string& key) {
    if (!machine_.xdp_use) return;
    const model::XdpUse use = machine_.xdp_use(name);
    switch (use.by) {
      case model::XdpUse::By::kNobody:
        break;
      case model::XdpUse::By::kLbd:
        add(Finding::Kind::kNote, key + "name",
            fmt::format("{} has a program of lbd: one lbd can have it, the next one takes it over", name));
        break;
      case model::XdpUse::By::kOther:
        add(Finding::Kind::kProblem, key + "name", use.sentence);
        break;
      case model::XdpUse::By::kUntold:
        add(Finding::Kind::kNote, key + "name",
            use.sentence + ": unless it is lbd's own, lbd is refused the interface");
        break;
    }
  }

  const model::Daemon& daemon_;
  const Machine& machine_;
  uint32_t queues_ = 0;
  std::vector<Finding> found_;
};

}  // namespace

std::vector<Finding> check_xdp_host(const model::Daemon& daemon, const Machine& machine) {
  return XdpHostCheck(daemon, machine).run();
}

}  // namespace lb::host
