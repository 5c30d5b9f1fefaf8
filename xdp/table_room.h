// Which lines of lb_tables are taken by which Maglev table. Tables that did not change between snapshots, or that
// services share, are one object in memory (model/snapshot.h) and have one place here. No BPF. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/model/snapshot.h"

namespace lb::xdp {

// Lines that a table takes.
uint32_t table_lines(const model::Table& table) noexcept;
// Lines that all tables of a snapshot take.
uint64_t table_lines(const model::Snapshot& snapshot) noexcept;

class TableRoom {
 public:
  explicit TableRoom(uint32_t lines);

  struct Placed {
    std::shared_ptr<const model::Table> table;
    uint32_t line = 0;
  };
  // Places for those of the tables that have none yet. RETURNS: these; nothing when they do not fit, and nothing has
  // changed then.
  std::optional<std::vector<Placed>> place(std::span<const std::shared_ptr<const model::Table>> tables);
  uint32_t line_of(const model::Table& table) const;  // REQUIRES: placed
  // The lines of all tables but these are free. REQUIRES: no packet can read them any more.
  void keep_only(std::span<const std::shared_ptr<const model::Table>> tables);

  uint32_t lines() const noexcept { return lines_; }
  uint64_t free_lines() const noexcept;

 private:
  std::optional<uint32_t> take(uint32_t lines);
  void give_back(uint32_t line, uint32_t lines);

  uint32_t lines_;
  std::map<uint32_t, uint32_t> free_;  // first line -> lines; no two touch each other
  std::map<const model::Table*, Placed> placed_;
};

}  // namespace lb::xdp
