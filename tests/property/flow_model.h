// The flow table's rules once more, as slowly and plainly as they can be said: whole tuples instead of tags, time that
// never wraps, timeouts looked up when they are asked for, a victim by sorting. Where the rules leave a choice (which
// of several free or timed-out entries, which of equally old ones) the model follows the table, if that chose well.
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/property/flow_world.h"

namespace lb::property {

struct ModelEntry {
  uint32_t flow = 0;
  uint8_t proto = 0;
  uint32_t what = LB_FLOW_FREE;
  uint64_t at_ms = 0;  // once: of the first packet; else of the last
  uint16_t backend = 0;

  uint64_t age(uint64_t now_ms) const {
    const uint32_t shift = what == LB_FLOW_ONCE ? 3 : 8;
    return (now_ms >> shift) - (at_ms >> shift);
  }
  bool is_over(uint64_t now_ms) const {
    switch (what) {
      case LB_FLOW_ONCE:
        return age(now_ms) * 8 >= 30'000;
      case LB_FLOW_ESTABLISHED:
        return age(now_ms) * 256 >= 900'000;
      default:
        return age(now_ms) * 256 >= 60'000;
    }
  }
};

struct Place {
  uint32_t line = 0, entry = 0;
  friend bool operator==(const Place&, const Place&) = default;
};

class FlowModel {
 public:
  FlowModel(uint32_t lines, FlowWorld& world) : lines_(lines), world_(world) {}

  std::optional<Place> find(uint32_t flow, const Tuple& t) const {
    for (const uint32_t line : candidates(t))
      for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
        const auto& entry = lines_[line][e];
        if (entry && entry->flow == flow && entry->proto == t.proto) return Place{line, e};
      }
    return std::nullopt;
  }
  std::array<uint32_t, 2> candidates(const Tuple& t) const {
    const uint64_t hash = hash_of(world_.get().hash_key, t);
    const auto n = static_cast<uint32_t>(lines_.size());
    return {lb_flow_first_line(hash, n), lb_flow_second_line(hash, n)};
  }
  std::optional<ModelEntry>& at(const Place& p) { return lines_[p.line][p.entry]; }

  // What the packet finds: a backend (known), or nothing, with the entry that the flow may have again.
  struct Found {
    uint16_t backend = 0;
    std::optional<Place> replace;
  };
  Found meet(uint32_t flow, const Tuple& t, uint8_t tcp, uint64_t now) {
    const auto place = find(flow, t);
    if (!place) return {};
    ModelEntry& e = *at(*place);
    const lb_backend& b = world_.get().backends[e.backend];
    const lb_service& s = world_.get().services[t.service];
    const bool serving = (b.flags & LB_BACKEND_SERVING) != 0 && (b.pool == s.pool || b.pool == s.former_pool);
    if (!serving) return {0, place};
    const bool eligible = (b.flags & LB_BACKEND_READY) != 0 && b.pool == s.pool;
    if (t.proto == LB_PROTO_TCP && is_syn(tcp)) return meet_syn(e, *place, eligible, now);
    advance(e, t.proto, tcp, now);
    return {e.backend, std::nullopt};
  }

  // Whom a new flow may push out: the places of least harm. Empty: nobody.
  std::vector<Place> victims(const Tuple& t, uint64_t now) {
    const auto lines = candidates(t);
    for (uint32_t line : lines) {
      std::vector<Place> idle;
      for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++)
        if (!lines_[line][e] || lines_[line][e]->is_over(now)) idle.push_back({line, e});
      if (!idle.empty()) return idle;
    }
    for (const uint32_t what : {uint32_t{LB_FLOW_ONCE}, uint32_t{LB_FLOW_CLOSING}}) {
      std::vector<Place> found = oldest(lines, what, now);
      if (!found.empty()) return found;
    }
    return agreeing(lines, now);
  }
  static bool is_refused(uint8_t proto, uint8_t tcp) {
    return proto == LB_PROTO_TCP && ((tcp & 4) != 0 || (tcp & 3) == 3);
  }
  size_t live(uint64_t now) const {
    size_t n = 0;
    for (const auto& line : lines_)
      for (const auto& e : line) n += e && !e->is_over(now);
    return n;
  }

 private:
  static bool is_syn(uint8_t tcp) { return (tcp & (2 | 16 | 4 | 1)) == 2; }

  Found meet_syn(ModelEntry& e, const Place& place, bool eligible, uint64_t now) {
    const bool over = e.is_over(now);
    if (e.what == LB_FLOW_ONCE && !over) {
      if (eligible || e.age(now) * 8 < 1'000) return {e.backend, std::nullopt};
      return {0, place};
    }
    if (e.what == LB_FLOW_ESTABLISHED && !over) {
      if (eligible || e.age(now) * 256 < 10'000) return {e.backend, std::nullopt};
      return {0, place};
    }
    if (!eligible) return {0, place};
    e.what = LB_FLOW_ONCE;
    e.at_ms = now;
    return {e.backend, std::nullopt};
  }

  void advance(ModelEntry& e, uint8_t proto, uint8_t tcp, uint64_t now) {
    const bool over = e.is_over(now);
    if (e.what == LB_FLOW_ONCE && !over && e.age(now) * 8 < 256) return;
    const auto become = [&](uint32_t what) {
      e.what = what;
      e.at_ms = now;
    };
    if (proto == LB_PROTO_UDP) return become(LB_FLOW_UDP);
    const bool fin = (tcp & 1) != 0, rst = (tcp & 4) != 0, data = (tcp & LB_FLOW_PAYLOAD) != 0;
    if (fin && (tcp & 2) != 0) return;
    if (rst) {
      if (e.what == LB_FLOW_ESTABLISHED && !over) become(LB_FLOW_RESET);
      return;
    }
    if (fin) return become(LB_FLOW_CLOSING);
    if (e.what == LB_FLOW_CLOSING && !over && !data) return become(LB_FLOW_CLOSING);
    become(LB_FLOW_ESTABLISHED);
  }

  static bool is_of(uint32_t what, uint32_t wanted) {
    return what == wanted || (wanted == LB_FLOW_CLOSING && what == LB_FLOW_RESET);
  }
  std::vector<Place> oldest(const std::array<uint32_t, 2>& lines, uint32_t what, uint64_t now) const {
    uint64_t most = 0;
    std::vector<Place> found;
    for (const uint32_t line : lines)
      for (uint32_t e = 0; e < LB_FLOW_ENTRIES; e++) {
        const auto& entry = lines_[line][e];
        if (!is_of(entry->what, what) || entry->age(now) < most) continue;
        if (entry->age(now) > most) found.clear();
        most = entry->age(now);
        found.push_back({line, e});
      }
    return found;
  }

  // The oldest of each line, the first of equals, is asked; the older of the two first. Whoever would be sent the same
  // way today gives way.
  std::vector<Place> agreeing(const std::array<uint32_t, 2>& lines, uint64_t now) const {
    std::array<Place, 2> asked{};
    std::array<uint64_t, 2> age{};
    for (uint32_t k = 0; k < 2; k++) {
      asked[k].line = lines[k];
      age[k] = lines_[lines[k]][0]->age(now);
      for (uint32_t e = 1; e < LB_FLOW_ENTRIES; e++) {
        if (lines_[lines[k]][e]->age(now) <= age[k]) continue;
        asked[k].entry = e;
        age[k] = lines_[lines[k]][e]->age(now);
      }
    }
    if (age[1] > age[0]) std::swap(asked[0], asked[1]);
    for (const Place& p : asked) {
      const ModelEntry& e = *lines_[p.line][p.entry];
      if (world_.chosen(tuple_of(e.flow, e.proto)) == e.backend) return {p};
    }
    return {};
  }

  std::vector<std::array<std::optional<ModelEntry>, LB_FLOW_ENTRIES>> lines_;
  FlowWorld& world_;
};

}  // namespace lb::property
