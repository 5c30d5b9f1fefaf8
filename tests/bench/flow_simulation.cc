// How many flows a table of 8-entry lines cannot hold: candidate lines and load, by simulation. The arithmetic behind
// docs/decisions/006-flow-table.md; takes seconds.
//   fill     as many live flows as the load says come into an empty table: the share that finds no entry
//   churn    then ten times as many come while as many, at random, end: the share of the new ones that finds none
#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

namespace {

constexpr uint32_t kLines = 1 << 16, kEntries = 8;

enum class Choice { kOneLine, kFirstElseSecond, kEmptierOfTwo };

class Table {
 public:
  explicit Table(Choice choice) : choice_(choice), used_(kLines) {}
  // RETURNS: its line, kLines when there is no room.
  uint32_t insert(std::mt19937_64& random) {
    const auto one = static_cast<uint32_t>(random() % kLines), two = static_cast<uint32_t>(random() % kLines);
    uint32_t line = one;
    if (choice_ == Choice::kFirstElseSecond && used_[one] == kEntries) line = two;
    if (choice_ == Choice::kEmptierOfTwo && used_[two] < used_[one]) line = two;
    if (used_[line] == kEntries) return kLines;
    used_[line]++;
    second_ += line != one;
    return line;
  }
  void remove(uint32_t line) { used_[line]--; }
  uint64_t in_second() const { return second_; }

 private:
  Choice choice_;
  std::vector<uint8_t> used_;
  uint64_t second_ = 0;
};

void simulate(const char* name, Choice choice, double load) {
  std::mt19937_64 random(1);
  Table table(choice);
  const auto flows = static_cast<uint32_t>(load * kLines * kEntries);
  std::vector<uint32_t> lines(flows);
  uint64_t lost = 0, lost_in_churn = 0;
  for (uint32_t& line : lines) lost += (line = table.insert(random)) == kLines;
  const double second = static_cast<double>(table.in_second()) / flows;
  for (uint64_t n = 0; n < uint64_t{flows} * 10; n++) {
    uint32_t& line = lines[random() % flows];
    if (line != kLines) table.remove(line);
    lost_in_churn += (line = table.insert(random)) == kLines;
  }
  std::printf("%-22s %5.1f %% %10.4f %% %10.4f %% %10.2f %% %8.0f\n", name, load * 100,
              100.0 * static_cast<double>(lost) / flows, 10.0 * static_cast<double>(lost_in_churn) / flows,
              100 * second, 1048576 / load * 8 / (1 << 20));
}

}  // namespace

int main() {
  std::printf("%-22s %7s %12s %12s %12s %8s\n", "candidate lines", "load", "fill", "churn", "in second", "MB/1M");
  for (const double load : {0.25, 0.33, 0.5}) simulate("one", Choice::kOneLine, load);
  for (const double load : {0.4, 4.0 / 9, 0.5, 0.6}) simulate("first, else second", Choice::kFirstElseSecond, load);
  for (const double load : {0.5, 0.6, 0.8}) simulate("emptier of two", Choice::kEmptierOfTwo, load);
  return 0;
}
