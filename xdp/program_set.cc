#include "xdp/program_set.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace lb::xdp {
namespace {

// 4 MB: 15 tables of the usual size change at once without new programs.
constexpr uint64_t kLeastLines = 65536;
constexpr uint64_t kMostLines = 1u << 30;

// What a larger set must not share: each packet uses records and tables of one set.
constexpr std::array<std::string_view, 8> kOwnMaps = {"lb_config",   "lb_listeners", "lb_addresses", "lb_ranges",
                                                      "lb_services", "lb_backends",  "lb_tables",    "lb_decision"};

lb_xdp_port constants(const ProgramShape& shape, size_t p) {
  const XdpPort& port = shape.ports[p];
  const bool is_generic = port.interface.mode == model::XdpMode::kGeneric;
  lb_xdp_port c = {};
  memcpy(c.mac, port.facts.mac.bytes.data(), sizeof(c.mac));
  c.port = static_cast<uint16_t>(p);
  c.first_worker = port.first_worker;
  c.queues = port.facts.queues;
  c.workers = shape.workers;
  c.lines = shape.lines;
  c.former_workers = shape.former_workers;
  c.former_lines = shape.former_lines;
  // Where the driver does not tell its queues, several may be counted as queue 0.
  c.shared = is_generic || !port.facts.counts_queues ? 1 : 0;
  c.mode = LB_XDP_FORWARD;
  c.given_back = is_generic ? shape.given_back : 0;
  return c;
}

}  // namespace

uint32_t room_for(const model::Snapshot& snapshot) noexcept {
  const uint64_t need = table_lines(snapshot);
  return static_cast<uint32_t>(std::clamp(2 * need + need / 4, kLeastLines, kMostLines));
}

net::Result<std::unique_ptr<ProgramSet>> ProgramSet::load(const ProgramShape& shape, uint32_t table_lines,
                                                          std::span<const NamedFd> reuse) {
  auto maps = Maps::create({.workers = shape.workers,
                            .flow_lines = std::max(shape.lines * shape.workers, 1u),
                            .former_lines = std::max(shape.former_lines * shape.former_workers, 1u),
                            .table_lines = table_lines},
                           reuse);
  if (!maps) return maps.error();
  std::unique_ptr<ProgramSet> set(new ProgramSet(std::move(*maps)));
  set->shape_ = shape;
  auto records = Records::create(set->maps_);
  if (!records) return records.error();
  set->records_ = std::make_unique<Records>(std::move(*records));
  if (net::Status loaded = set->load_programs(shape); !loaded) return loaded.error();
  return set;
}

net::Status ProgramSet::load_programs(const ProgramShape& shape) {
  for (size_t p = 0; p < shape.ports.size(); p++) {
    auto program = Program::load(maps_, constants(shape, p));
    if (!program) return program.error();
    programs_.push_back(std::move(*program));
  }
  lb_xdp_port dry = constants(shape, 0);
  dry.mode = LB_XDP_DRY;
  auto program = Program::load(maps_, dry);
  if (!program) return program.error();
  dry_ = std::move(*program);
  return {};
}

net::Result<std::unique_ptr<ProgramSet>> ProgramSet::load_larger(uint32_t table_lines) const {
  std::vector<NamedFd> shared = maps_.all();
  std::erase_if(shared,
                [](const NamedFd& m) { return std::find(kOwnMaps.begin(), kOwnMaps.end(), m.name) != kOwnMaps.end(); });
  auto set = load(shape_, table_lines, shared);
  if (!set) return set.error();
  (*set)->maps_.share_memory(maps_);
  // Whoever reads the new configuration finds lbd as much alive as in the old one.
  lb_xdp_config &from = maps_.config(), &to = (*set)->maps_.config();
  to.orphan_after_ms = from.orphan_after_ms;
  to.heartbeat_ms = from.heartbeat_ms;
  to.started_ms = from.started_ms;
  to.pid = from.pid;
  return set;
}

}  // namespace lb::xdp
