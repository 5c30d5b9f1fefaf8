// events.list: what happened, in pieces.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/event_ring.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxPiece = 1000;

// Whether one of "service web, pool fe, backend fe/fe11" is the service, its pool or a backend of that.
bool names_one(std::string_view list, const std::string& service, const std::string& pool) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(", "), list.size());
    const std::string_view one = list.substr(0, end);
    if (one == "service " + service || one == "pool " + pool || one.starts_with("backend " + pool + '/')) return true;
    list.remove_prefix(std::min(list.size(), end + 2));
  }
  return false;
}

bool is_about(const Json& event, const std::string& service, const std::string& pool) {
  const Json& fields = event["fields"];
  const auto says = [&](const char* key, const std::string& value) {
    const auto it = fields.find(key);
    return it != fields.end() && it->is_string() && it->get_ref<const std::string&>() == value;
  };
  const auto touched = fields.find("touched");
  return says("service", service) || (!pool.empty() && says("pool", pool)) ||
         (touched != fields.end() && touched->is_string() &&
          names_one(touched->get_ref<const std::string&>(), service, pool));
}

net::Result<Json> list(Call& call) {
  const auto after = call.params.number("after", UINT64_MAX);
  const auto since_s = call.params.number("since_s", INT32_MAX);
  const auto limit = call.params.number("limit", kMaxPiece);
  const std::string service = call.params.text_or("service", "");
  if (auto fault = call.fault()) return *fault;
  const EventRing* ring = call.node.events;
  if (ring == nullptr) return net::Error{net::Code::kUnsupported, "this lbd keeps no events"};
  // A service that is gone has events, too; its pool's are then not known to be its own.
  const auto& services = call.control().config().services;
  const auto known = services.find(service);
  const std::string pool = known == services.end() ? std::string() : known->second.pool;
  const int64_t from_ms = since_s ? (call.control().now() - static_cast<int64_t>(*since_s)) * 1000 : INT64_MIN;
  const auto& events = ring->events();
  auto it = std::upper_bound(events.begin(), events.end(), after.value_or(0),
                             [](uint64_t number, const RingEvent& e) { return number < e.number; });
  Json found = Json::array();
  uint64_t next = after.value_or(0);
  for (; it != events.end() && found.size() < limit.value_or(kMaxPiece); ++it) {
    next = it->number;
    if (it->time_ms < from_ms) continue;
    Json event = Json::parse(it->line);
    if (service.empty() || is_about(event, service, pool)) found.push_back(std::move(event));
  }
  return Json{{"events", std::move(found)},
              {"next", next},  // `after` of the next piece
              {"more", it != events.end()},
              {"oldest", events.empty() ? Json(nullptr) : Json(events.front().number)}};
}

}  // namespace

std::span<const Method> events_methods() {
  static constexpr Method kMethods[] = {{"events.list", kReads, list}};
  return kMethods;
}

}  // namespace lb::ctl
