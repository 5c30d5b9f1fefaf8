#include "ctl/orphan_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

// Until nobody's packets are forwarded any more; null: for ever, or it has ended.
json ends_in(const model::OrphanState& state) {
  if (!state.forwards || state.orphan_after_ms == 0) return nullptr;
  return (std::max(state.orphan_after_ms, state.heartbeat_ago_ms) - state.heartbeat_ago_ms) / 1000;
}

std::string names(const model::OrphanState& state) {
  std::vector<std::string> out;
  for (const model::OrphanInterface& i : state.interfaces)
    if (i.ifindex != 0) out.push_back(i.name);
  return join(out);
}

}  // namespace

json to_json(const model::OrphanState& state) {
  const bool known = state.pid != 0;
  json programs = json::array();
  for (const model::OrphanInterface& i : state.interfaces)
    programs.push_back({{"interface", i.name},
                        {"program", i.ifindex == 0 ? json(nullptr) : json(i.program)},
                        {"attached", i.ifindex != 0}});
  return {{"engine", "xdp"},
          {"daemon", state.daemon},
          {"forwards", state.forwards},
          {"pid", known ? json(state.pid) : json(nullptr)},
          {"started_s", known ? json(state.started_ago_ms / 1000) : json(nullptr)},
          {"heartbeat_ms", known ? json(state.heartbeat_ago_ms) : json(nullptr)},
          {"orphan_after_s", known && state.orphan_after_ms != 0 ? json(state.orphan_after_ms / 1000) : json(nullptr)},
          {"ends_in_s", ends_in(state)},
          {"folder", state.folder},
          {"flow_bytes", state.memory},
          {"programs", std::move(programs)}};
}

std::string still_forwards(const model::OrphanState& state) {
  if (state.daemon || !state.forwards) return "";
  const json end = ends_in(state);
  const std::string until =
      end.is_null() ? "has no end (daemon.orphan-after: never)" : fmt::format("ends in {}", duration(end));
  if (state.pid == 0)
    return fmt::format(
        "XDP programs of an lbd of another version still forward on {}. Start that lbd, or take them off: lbctl "
        "engine detach --force",
        names(state));
  return fmt::format(
      "the XDP programs of lbd (pid {}), which gave no sign of life for {}, still forward on {}, with the "
      "configuration they had; that {}. Start lbd: it takes over without losing a packet; or take them off: lbctl "
      "engine detach --force",
      state.pid, duration(state.heartbeat_ago_ms / 1000), names(state), until);
}

}  // namespace lb::ctl
