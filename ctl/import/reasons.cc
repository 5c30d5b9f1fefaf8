#include "ctl/import/reasons.h"

namespace lb::importing {
namespace {

constexpr std::string_view kTurns =
    "taking turns (`round-robin`) is not in this version; maglev is the nearest: by a hash of the flow, shares by "
    "weight";
constexpr std::string_view kCounts =
    "counting connections (`least-conn`) is not in this version; maglev is the nearest: by a hash of the flow, shares "
    "by weight";
constexpr std::string_view kOrder = "filling one server after the other is not known here; maglev spreads by weight";
constexpr std::string_view kContent = "choosing by what is inside a request is layer 7; maglev spreads flows by weight";
constexpr std::string_view kOther = "this schedule is not known here; maglev spreads flows by weight";

struct Near {
  std::string_view word;
  NearSchedule near;
};
constexpr auto kMaglev = model::Schedule::kMaglev;
constexpr auto kSource = model::Schedule::kSourceHash;
constexpr Near kNear[] = {
    {"rr", {kMaglev, kTurns}},
    {"wrr", {kMaglev, kTurns}},
    {"roundrobin", {kMaglev, kTurns}},
    {"static-rr", {kMaglev, kTurns}},
    {"random", {kMaglev, kTurns}},
    {"lc", {kMaglev, kCounts}},
    {"wlc", {kMaglev, kCounts}},
    {"lblc", {kMaglev, kCounts}},
    {"lblcr", {kMaglev, kCounts}},
    {"sed", {kMaglev, kCounts}},
    {"nq", {kMaglev, kCounts}},
    {"twos", {kMaglev, kCounts}},
    {"least_conn", {kMaglev, kCounts}},
    {"least_time", {kMaglev, kCounts}},
    {"leastconn", {kMaglev, kCounts}},
    {"fo", {kMaglev, kOrder}},
    {"ovf", {kMaglev, kOrder}},
    {"first", {kMaglev, kOrder}},
    {"sh", {kSource, ""}},
    {"mh", {kSource, ""}},
    {"source", {kSource, ""}},
    {"ip_hash", {kSource, ""}},
    {"uri", {kMaglev, kContent}},
    {"url_param", {kMaglev, kContent}},
    {"hdr", {kMaglev, kContent}},
    {"rdp-cookie", {kMaglev, kContent}},
};

}  // namespace

NearSchedule nearest_schedule(std::string_view word) noexcept {
  for (const Near& n : kNear)
    if (n.word == word) return n.near;
  return {kMaglev, kOther};
}

}  // namespace lb::importing
