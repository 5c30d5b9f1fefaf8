#include "xdp/orphan.h"

#include <bpf/bpf.h>
#include <fmt/format.h>

#include <array>
#include <optional>

#include "dataplane/flows/flow_clock.h"
#include "xdp/attachment.h"
#include "xdp/lb_abi.h"
#include "xdp/runtime.h"

namespace lb::xdp {
namespace {

constexpr const char* kConfig = "config";
constexpr const char* kIds = "backend_ids";
constexpr std::array<const char*, 3> kSets = {"flows", "former", "flows%new"};

// Nothing: no pin, or of another version.
std::optional<lb_xdp_config> read_config(const Runtime& runtime) {
  const auto map = runtime.pinned(kConfig);
  if (!map) return std::nullopt;
  const auto info = map_info(map->get());
  if (!info || info->value_size != sizeof(lb_xdp_config)) return std::nullopt;
  const uint32_t key = 0;
  lb_xdp_config config{};
  if (bpf_map_lookup_elem(map->get(), &key, &config) != 0) return std::nullopt;
  return config;
}

uint64_t memory_of(const Runtime& runtime) {
  uint64_t bytes = 0;
  for (const char* set : kSets) {
    for (const char* name : {"lines", "records", "log", "header"}) {
      const auto map = runtime.pinned(fmt::format("{}/{}", set, name));
      const auto info = map ? map_info(map->get()) : net::Result<MapInfo>(map.error());
      if (info) bytes += uint64_t{info->value_size} * info->max_entries;
    }
  }
  return bytes;
}

net::Result<model::OrphanState> state_of(const Runtime& runtime) {
  model::OrphanState state;
  state.folder = runtime.folder();
  const auto in_use = runtime.is_in_use();
  if (!in_use) return in_use.error();
  state.daemon = *in_use;
  bool attached = false;
  for (const std::string& pin : runtime.names()) {
    const std::string ifname = ifname_of_pin(pin);
    if (ifname.empty()) continue;
    const auto link = runtime.pinned(pin);
    if (!link) return link.error();
    const auto info = link_info(link->get());
    if (!info) return info.error();
    state.interfaces.push_back({.name = ifname, .ifindex = info->ifindex, .program = info->program});
    attached |= info->ifindex != 0;
  }
  state.memory = memory_of(runtime);
  state.forwards = attached;  // where its words are not ours the worst is assumed
  if (const auto config = read_config(runtime); config && config->pid != 0) {
    const uint64_t now = flows::flow_clock_ms();
    const auto ago = [now](uint64_t then) { return now > then ? now - then : 0; };
    state.pid = config->pid;
    state.started_ago_ms = ago(config->started_ms);
    state.heartbeat_ago_ms = ago(config->heartbeat_ms);
    state.orphan_after_ms = config->orphan_after_ms;
    state.forwards = attached && (state.orphan_after_ms == 0 || state.heartbeat_ago_ms <= state.orphan_after_ms);
  }
  return state;
}

std::string names_of(const model::OrphanState& state) {
  std::string names;
  for (const model::OrphanInterface& i : state.interfaces)
    if (i.ifindex != 0) names += (names.empty() ? "" : ", ") + i.name;
  return names;
}

net::Error lives(const model::OrphanState& state) {
  const std::string who = state.pid != 0 ? fmt::format("lbd (pid {})", state.pid) : "an lbd";
  return {
      net::Code::kConflict,
      fmt::format("{} lives and has {}: stop it, and it detaches its programs by itself; if it does not react, kill "
                  "it with SIGKILL and detach again",
                  who, state.folder)};
}

net::Status remove_all(const Runtime& runtime) {
  for (const std::string& pin : runtime.names()) {
    if (ifname_of_pin(pin).empty()) continue;
    auto link = runtime.pinned(pin);
    if (!link) return link.error();
    if (net::Status off = take_off(runtime, pin, *link); !off) return off;
  }
  if (net::Status s = runtime.unpin(kConfig); !s) return s;
  for (const char* set : kSets)
    if (net::Status s = runtime.remove_folder(set); !s) return s;
  return runtime.unpin(kIds);
}

class PinnedOrphans : public model::Orphans {
 public:
  net::Result<model::OrphanState> show(const std::string& socket) override {
    const auto runtime = Runtime::find(runtime_folder(socket));
    if (runtime) return state_of(*runtime);
    if (runtime.error().code != net::Code::kNotFound) return runtime.error();
    model::OrphanState nothing;
    nothing.folder = runtime_folder(socket);
    return nothing;
  }

  net::Result<model::OrphanState> detach(const std::string& socket, model::Force force, model::Run run) override {
    auto runtime = Runtime::find(runtime_folder(socket));
    if (!runtime) return runtime.error();
    auto state = state_of(*runtime);
    if (!state) return state;
    if (state->daemon) return lives(*state);
    if (state->is_empty())
      return net::Error{net::Code::kNotFound,
                        fmt::format("nothing is left of an lbd in {}: no program, no flow table", state->folder)};
    if (state->forwards && force == model::Force::kNo)
      return net::Error{
          net::Code::kConflict,
          fmt::format(
              "the programs on {} still forward with all their flows, and a new lbd would take them over; to end "
              "that and lose the flows: --force",
              names_of(*state))};
    if (run == model::Run::kDry) return state;
    // From here on no lbd can start in between.
    if (net::Status claimed = runtime->claim(); !claimed)
      return claimed.error().code == net::Code::kUnavailable ? lives(*state) : claimed.error();
    if (net::Status removed = remove_all(*runtime); !removed) return removed.error();
    return state;
  }
};

}  // namespace

std::unique_ptr<model::Orphans> orphans() {
  return std::make_unique<PinnedOrphans>();
}

}  // namespace lb::xdp
