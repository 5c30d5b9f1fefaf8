#include "xdp/table_room.h"

#include <set>

#include "xdp/lb_abi.h"

namespace lb::xdp {

uint32_t table_lines(const model::Table& table) noexcept {
  return (static_cast<uint32_t>(table.slots.size()) + LB_XDP_TABLE_CELLS - 1) / LB_XDP_TABLE_CELLS;
}

uint64_t table_lines(const model::Snapshot& snapshot) noexcept {
  std::set<const model::Table*> seen;
  uint64_t lines = 0;
  for (const auto& table : snapshot.tables)
    if (seen.insert(table.get()).second) lines += table_lines(*table);
  return lines;
}

TableRoom::TableRoom(uint32_t lines) : lines_(lines) {
  if (lines != 0) free_.emplace(0, lines);
}

// The first gap that is large enough.
std::optional<uint32_t> TableRoom::take(uint32_t lines) {
  for (auto gap = free_.begin(); gap != free_.end(); ++gap) {
    const auto [line, size] = *gap;
    if (size < lines) continue;
    free_.erase(gap);
    if (size > lines) free_.emplace(line + lines, size - lines);
    return line;
  }
  return std::nullopt;
}

void TableRoom::give_back(uint32_t line, uint32_t lines) {
  if (lines == 0) return;
  auto after = free_.lower_bound(line);
  if (after != free_.end() && after->first == line + lines) {
    lines += after->second;
    after = free_.erase(after);
  }
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == line) {
      before->second += lines;
      return;
    }
  }
  free_.emplace(line, lines);
}

std::optional<std::vector<TableRoom::Placed>> TableRoom::place(
    std::span<const std::shared_ptr<const model::Table>> tables) {
  std::vector<Placed> fresh;
  for (const auto& table : tables) {
    if (placed_.contains(table.get())) continue;
    const uint32_t lines = table_lines(*table);
    const std::optional<uint32_t> line = lines == 0 ? 0 : take(lines);
    if (!line) {
      for (const Placed& p : fresh) {
        placed_.erase(p.table.get());
        give_back(p.line, table_lines(*p.table));
      }
      return std::nullopt;
    }
    fresh.push_back({table, *line});
    placed_.emplace(table.get(), fresh.back());
  }
  return fresh;
}

uint32_t TableRoom::line_of(const model::Table& table) const {
  return placed_.at(&table).line;
}

void TableRoom::keep_only(std::span<const std::shared_ptr<const model::Table>> tables) {
  std::set<const model::Table*> kept;
  for (const auto& table : tables) kept.insert(table.get());
  for (auto p = placed_.begin(); p != placed_.end();) {
    if (kept.contains(p->first)) {
      ++p;
      continue;
    }
    give_back(p->second.line, table_lines(*p->second.table));
    p = placed_.erase(p);
  }
}

uint64_t TableRoom::free_lines() const noexcept {
  uint64_t lines = 0;
  for (const auto& [line, size] : free_) lines += size;
  return lines;
}

}  // namespace lb::xdp
