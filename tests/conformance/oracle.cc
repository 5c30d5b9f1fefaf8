// The cases of tests/oracle: what Scapy and the RFCs have to say, one JSON object a line.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include <nlohmann/json.hpp>

#include "dataplane/model/counters.h"
#include "tests/conformance/conformance.h"

namespace lb::conformance {
namespace {

using nlohmann::json;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(
      stderr,
      "the oracle's cases in %s: %s; they need python3-scapy (scripts/setup): ninja tests/conformance/oracle.jsonl\n",
      LBD_ORACLE_CASES, why.c_str());
  std::abort();
}

packet::Packet frame(const std::string& hex) {
  std::string bytes(hex.size() / 2, '\0');
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<char>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
  return packet::Packet().payload(bytes);
}

Drop reason(const std::string& name) {
  for (const model::CounterInfo& c : model::counters())
    if (c.name == name && c.id >= LB_DROP_FIRST && c.id <= LB_DROP_LAST) return static_cast<Drop>(c.id);
  give_up("there is no drop reason " + name);
}

Verdict verdict(const std::string& name) {
  constexpr std::array<std::pair<std::string_view, Verdict>, 5> kNames = {{{"forwarded", Verdict::kForward},
                                                                           {"answered", Verdict::kAnswer},
                                                                           {"held", Verdict::kHold},
                                                                           {"punted_owned", Verdict::kPunt},
                                                                           {"dropped", Verdict::kDrop}}};
  const auto found = std::ranges::find(kNames, name, &std::pair<std::string_view, Verdict>::first);
  if (found == kNames.end()) give_up("there is no verdict " + name);
  return found->second;
}

Expect expect(const json& j) {
  Expect e;
  e.verdict = verdict(j.at("verdict"));
  e.owned = true;
  if (e.verdict == Verdict::kDrop) e.reason = reason(j.at("reason"));
  for (const json& f : j.at("out")) e.out.push_back(frame(f));
  e.egress = j.at("egress");
  e.service = j.at("service");
  e.backend = j.at("backend");
  e.is_error = j.at("error");
  for (const json& r : j.at("released")) e.released.push_back(expect(r));
  return e;
}

}  // namespace

std::vector<Case> cases_oracle() {
  std::ifstream in(LBD_ORACLE_CASES);
  std::vector<Case> all;
  std::string line;
  try {
    while (std::getline(in, line)) {
      const json j = json::parse(line);
      Case c{.name = "oracle: " + j.at("name").get<std::string>(), .world = &edge(), .steps = {}};
      for (const json& s : j.at("steps")) c.steps.push_back({frame(s.at("in")), expect(s)});
      all.push_back(std::move(c));
    }
  } catch (const json::exception& e) {
    give_up(e.what());
  }
  if (all.empty()) give_up("there are none");
  return all;
}

}  // namespace lb::conformance
