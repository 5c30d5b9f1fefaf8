// The results as a table and as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/bench/spread.h"

namespace lb::bench {

struct Row {
  std::string name = {};  // "hit", "new flow", "macswap", "random read"
  uint8_t family = 4;
  std::string forward = {};  // dsr, ipip; empty: not forwarded
  uint32_t services = 0, flows = 0;
  uint64_t slots = 0;  // of the table
  Spread ns = {};      // a packet, the generator subtracted
  Spread ratio = {};   // to Report::base of the same round
  double goal = 0;     // largest ratio that is good enough; 0: none
};

struct StageRow {
  std::string work;
  std::vector<std::pair<std::string, double>> cycles;  // a packet, median over batches
};

struct Report {
  std::string base = "macswap";  // what ratios are to
  std::vector<Row> rows;
  std::vector<StageRow> stages;
  size_t thrown_away = 0;  // disturbed samples
  size_t taken = 0;
  std::string pages = "4 KB pages";  // of packet buffers and tables
};

std::string table_text(const Report& report);
std::string json_text(const Report& report);

}  // namespace lb::bench
