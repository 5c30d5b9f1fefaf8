#include "tests/bench/report.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <fstream>
#include <nlohmann/json.hpp>

namespace lb::bench {
namespace {

std::string cpu() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

std::string kernel() {
  utsname name = {};
  return uname(&name) == 0 ? name.release : "unknown";
}

std::string text_of(const Spread& s, int digits) {
  return fmt::format("{:.{}f} ({:.{}f}-{:.{}f})", s.median, digits, s.low, digits, s.high, digits);
}

std::string what(const Row& r) {
  if (r.forward.empty()) return r.name;
  const std::string flows = r.flows == 0 ? "every packet new" : fmt::format("{} flows", r.flows);
  return fmt::format("IPv{} {} {}, {} service{}", r.family, r.forward, flows, r.services, r.services == 1 ? "" : "s");
}

nlohmann::json json_of(const Spread& s) {
  return {{"median", s.median}, {"low", s.low}, {"high", s.high}, {"samples", s.samples}};
}

std::string verdict(const Row& r) {
  if (r.goal == 0) return "";
  return fmt::format("{} {:.1f}", r.ratio.median <= r.goal ? "within" : "MISSES", r.goal);
}

}  // namespace

std::string table_text(const Report& report) {
  std::string text = fmt::format("{}, kernel {}, {}, {} of {} samples disturbed and thrown away\n", cpu(), kernel(),
                                 report.pages, report.thrown_away, report.taken);
  text += fmt::format("{:<46} {:>8} {:>22} {:>20}  {}\n", "ns a packet, median (quartiles)", "slots", "ns",
                      "x " + report.base, "goal");
  for (const Row& r : report.rows) {
    const std::string slots = r.slots == 0 ? "" : fmt::format("{} k", r.slots / 1024);
    text += fmt::format("{:<46} {:>8} {:>22} {:>20}  {}\n", what(r), slots, text_of(r.ns, 1),
                        r.ratio.samples == 0 ? "" : text_of(r.ratio, 2), verdict(r));
  }
  for (const StageRow& s : report.stages) {
    text += fmt::format("\ncycles a packet, {}\n", s.work);
    for (const auto& [stage, cycles] : s.cycles) text += fmt::format("  {:<18} {:>6.1f}\n", stage, cycles);
  }
  return text;
}

std::string json_text(const Report& report) {
  nlohmann::json out = {{"cpu", cpu()},
                        {"kernel", kernel()},
                        {"compiler", __VERSION__},
                        {"tsc_ghz", cycles_per_ns()},
                        {"pages", report.pages},
                        {"base", report.base},
                        {"samples", report.taken},
                        {"thrown_away", report.thrown_away},
                        {"rows", nlohmann::json::array()},
                        {"stages", nlohmann::json::array()}};
  for (const Row& r : report.rows) {
    nlohmann::json row = {{"name", r.name}, {"ns", json_of(r.ns)}};
    if (!r.forward.empty()) {
      row.update({{"family", r.family}, {"forward", r.forward}, {"services", r.services}, {"slots", r.slots}});
      if (r.flows != 0) row["flows"] = r.flows;
    }
    if (r.ratio.samples != 0) row["ratio"] = json_of(r.ratio);
    if (r.goal != 0) row["goal"] = r.goal;
    out["rows"].push_back(std::move(row));
  }
  for (const StageRow& s : report.stages) {
    nlohmann::json cycles;
    for (const auto& [stage, c] : s.cycles) cycles[stage] = c;
    out["stages"].push_back({{"work", s.work}, {"cycles", std::move(cycles)}});
  }
  return out.dump(2) + "\n";
}

}  // namespace lb::bench
