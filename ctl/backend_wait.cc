#include "ctl/backend_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>

#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto kFirstPause = std::chrono::milliseconds(20);
constexpr auto kLastPause = std::chrono::milliseconds(1000);

// Empty: it is where it should be.
std::string missing(const json& backend, const WaitFor& what) {
  const std::string name = text_of(backend, "pool") + "/" + text_of(backend, "name");
  const json& flows = member(backend, "flows");
  const uint64_t total = number_of(flows, "total"), idle_ms = number_of(flows, "idle_ms");
  if (total > 0 && !(what.idle_s && idle_ms >= *what.idle_s * 1000)) {
    return fmt::format("{} has {}, the last active {:.1f} s ago", name, plural(total, "flow"),
                       static_cast<double>(idle_ms) / 1000);
  }
  if (what.until == Until::kDrained || text_of(backend, "admin") != "ready" || number_of(backend, "weight") == 0) {
    return "";
  }
  return name + " takes new flows: drain it first";
}

}  // namespace

int wait_for(Session& session, const json& select, const WaitFor& what) {
  const auto deadline = Clock::now() + std::chrono::seconds(what.timeout_s);
  auto pause = kFirstPause;
  for (bool first = true;; first = false) {
    auto answer = session.request("backend.list", {{"select", select}});
    if (const auto* failure = std::get_if<Failure>(&answer)) {
      // It was leaving, and now it has left.
      return !first && failure->code == "not_found" ? kDone : session.fail(*failure);
    }
    std::vector<std::string> all;
    for (const json& backend : member(std::get<json>(answer), "backends")) {
      if (!member(backend, "flows").is_object()) {
        return session.fail({kRefused,
                             "unsupported",
                             "this lbd tracks no flows (daemon.flows is 0): nothing to wait "
                             "for can be seen",
                             {}});
      }
      if (std::string one = missing(backend, what); !one.empty()) all.push_back(std::move(one));
    }
    if (all.empty()) return kDone;
    if (Clock::now() >= deadline) {
      return session.fail(
          {kTimedOut, "timeout", fmt::format("timed out after {}: {}", duration(what.timeout_s), join(all, "; ")), {}});
    }
    std::this_thread::sleep_for(std::min<Clock::duration>(pause, deadline - Clock::now()));
    pause = std::min(pause * 2, kLastPause);
  }
}

}  // namespace lb::ctl
