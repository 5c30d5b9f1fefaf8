#include "ctl/json_change.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

// Longer texts would only blow up the log and the history.
constexpr size_t kMaxReason = 1024;
constexpr uint64_t kMaxNumber = 0xffffffff;

net::Error not_a(std::string_view what, const std::string& value, std::string_view known,
                 std::initializer_list<std::string_view> later) {
  for (std::string_view name : later) {
    if (value == name) {
      return {net::Code::kUnsupported, fmt::format("{} `{}` is not in this version; known: {}", what, value, known)};
    }
  }
  return {net::Code::kInvalid, fmt::format("`{}` is no {}; known: {}", value.substr(0, 60), what, known)};
}

std::optional<std::vector<net::Listener>> read_listen(Fields& fields) {
  if (!fields.has("listen")) return std::nullopt;
  std::vector<net::Listener> list;
  const auto texts = fields.texts("listen");
  for (size_t i = 0; i < texts.size(); i++) {
    auto listener = net::Listener::parse(texts[i]);
    if (listener) {
      list.push_back(*listener);
    } else {
      fields.fail(fmt::format("listen[{}]", i), listener.error());
    }
  }
  return list;
}

std::optional<model::Forward> read_forward(Fields& fields) {
  if (!fields.has("forward")) return std::nullopt;
  const std::string text = fields.text("forward");
  const auto forward = model::parse_forward(text);
  if (!forward) {
    fields.fail("forward", not_a("forward mode", text, "dsr, ipip", {"gue", "nat", "full-nat", "local"}));
  }
  return forward;
}

std::optional<model::Schedule> read_schedule(Fields& fields) {
  if (!fields.has("schedule")) return std::nullopt;
  const std::string text = fields.text("schedule");
  const auto schedule = model::parse_schedule(text);
  if (!schedule) {
    fields.fail("schedule", not_a("schedule", text, "maglev, source-hash", {"round-robin", "least-conn"}));
  }
  return schedule;
}

std::optional<model::NoListener> read_no_listener(Fields& fields) {
  if (!fields.has("on_no_listener")) return std::nullopt;
  const std::string text = fields.text("on_no_listener");
  const auto value = model::parse_no_listener(text);
  if (!value) fields.fail("on_no_listener", not_a("on_no_listener", text, "auto, drop, reject, punt", {}));
  return value;
}

std::optional<model::Announce> read_announce(Fields& fields) {
  if (!fields.has("announce")) return std::nullopt;
  const std::string text = fields.text("announce");
  const auto value = model::parse_announce(text);
  if (!value) fields.fail("announce", not_a("announce", text, "on, off", {}));
  return value;
}

std::optional<std::pair<uint8_t, uint8_t>> read_prefix(Fields& fields) {
  const Json* value = fields.array("source_prefix", 2);
  if (value == nullptr) return std::nullopt;
  const auto fits = [&](size_t i, uint64_t max) {
    const Json& item = (*value)[i];
    return item.is_number_unsigned() && item.get<uint64_t>() >= 1 && item.get<uint64_t>() <= max;
  };
  if (value->size() != 2 || !fits(0, 32) || !fits(1, 128)) {
    fields.fail(
        "source_prefix",
        {net::Code::kInvalid, fmt::format("`{}` is not [1..32, 1..128], the bits of an IPv4 and "
                                          "of an IPv6 source that count",
                                          value->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60))});
    return std::nullopt;
  }
  return std::pair((*value)[0].get<uint8_t>(), (*value)[1].get<uint8_t>());
}

std::optional<net::Address> read_address(Fields& fields) {
  if (!fields.has("address")) return std::nullopt;
  auto address = net::Address::parse(fields.text("address"));
  if (address) return *address;
  fields.fail("address", address.error());
  return std::nullopt;
}

std::optional<uint32_t> read_u32(Fields& fields, std::string_view key) {
  const auto value = fields.number(key, kMaxNumber);
  if (!value) return std::nullopt;
  return static_cast<uint32_t>(*value);
}

}  // namespace

model::SetService read_service_set(Fields& fields, std::string name) {
  model::SetService set;
  set.name = std::move(name);
  set.listen = read_listen(fields);
  if (fields.has("pool")) set.pool = fields.text("pool");
  set.forward = read_forward(fields);
  set.schedule = read_schedule(fields);
  set.table_size = read_u32(fields, "table_size");
  set.on_no_listener = read_no_listener(fields);
  set.announce = read_announce(fields);
  if (const auto prefix = read_prefix(fields)) {
    set.prefix4 = prefix->first;
    set.prefix6 = prefix->second;
  }
  return set;
}

model::Service read_service(Fields& fields) {
  model::Service service;
  service.name = fields.text("name");
  const model::SetService set = read_service_set(fields, service.name);
  if (!set.listen) fields.missing("listen");
  if (!set.pool) fields.missing("pool");
  service.listen = set.listen.value_or(std::vector<net::Listener>());
  service.pool = set.pool.value_or("");
  service.forward = set.forward.value_or(service.forward);
  service.schedule = set.schedule.value_or(service.schedule);
  service.table_size = set.table_size.value_or(service.table_size);
  service.prefix4 = set.prefix4.value_or(service.prefix4);
  service.prefix6 = set.prefix6.value_or(service.prefix6);
  service.on_no_listener = set.on_no_listener.value_or(service.on_no_listener);
  service.announce = set.announce.value_or(service.announce);
  return service;
}

model::SetBackend read_backend_set(Fields& fields) {
  model::SetBackend set;
  set.address = read_address(fields);
  set.weight = read_u32(fields, "weight");
  if (fields.has("labels")) set.labels = fields.text_map("labels");
  return set;
}

model::Backend read_backend(Fields& fields) {
  model::Backend backend;
  backend.name = fields.text("name");
  if (!fields.has("address")) fields.missing("address");
  const model::SetBackend set = read_backend_set(fields);
  backend.address = set.address.value_or(net::Address());
  backend.weight = set.weight.value_or(backend.weight);
  if (set.labels) backend.labels = *set.labels;
  return backend;
}

std::vector<model::Backend> read_backends(Fields& fields, std::string_view key) {
  std::vector<model::Backend> list;
  if (!fields.has(key)) fields.missing(key);
  const Json* items = fields.array(key, LB_MAX_BACKENDS);
  if (items == nullptr) return list;
  for (size_t i = 0; i < items->size() && fields.ok(); i++) {
    Fields inner((*items)[i], fmt::format("{}[{}].", fields.path_of(key), i), fields.faults());
    list.push_back(read_backend(inner));
    inner.finish();
  }
  return list;
}

std::optional<int64_t> read_expiry(Call& call) {
  constexpr uint64_t kMaxExpiry = 366ull * 86400;  // seconds
  const auto expires = call.params.number("expires_s", kMaxExpiry);
  if (expires == uint64_t{0}) call.params.fail("expires_s", {net::Code::kInvalid, "must be at least a second"});
  return expires ? std::optional(static_cast<int64_t>(*expires)) : std::nullopt;
}

ChangeOptions read_options(Call& call) {
  ChangeOptions options;
  options.author = {call.peer.uid, call.peer.pid, call.peer.login_uid, call.method};
  options.dry_run = call.params.flag("dry_run");
  options.reason = call.params.text_or("reason", "");
  if (options.reason.size() > kMaxReason) {
    call.params.fail("reason", {net::Code::kInvalid,
                                fmt::format("{} bytes, at most {} are kept", options.reason.size(), kMaxReason)});
  }
  options.expect_revision = call.params.number("expect_revision", UINT64_MAX);
  options.allow_remove = call.params.number("allow_remove", UINT64_MAX);
  options.allow_break = call.params.number("allow_break", UINT64_MAX);
  for (std::string& service : call.params.texts("allow_reshuffle")) options.allow_reshuffle.insert(std::move(service));
  if (const Json* below = call.params.object("allow_below")) {
    for (const auto& [pool, left] : below->items()) {
      if (left.is_number_unsigned()) {
        options.allow_below[pool] = left.get<uint64_t>();
      } else {
        call.params.fail("allow_below." + pool, {net::Code::kInvalid, "must be a number of backends"});
      }
    }
  }
  return options;
}

namespace {

// Numbers of flows are null where nothing tracks them.
Json forecast_json(const Forecast& forecast) {
  Json list = Json::array();
  for (const ServiceForecast& f : forecast.services) {
    const auto flows = [&](uint64_t n) { return forecast.tracked ? Json(n) : Json(nullptr); };
    list.push_back({{"service", f.service},
                    {"slots_moved", f.slots_moved},
                    {"eligible_before", f.eligible_before},
                    {"eligible_after", f.eligible_after},
                    {"flows", flows(f.flows.live)},
                    {"flows_pinned", flows(f.flows.pinned)},
                    {"flows_moved", flows(f.flows.moved)},
                    {"flows_ended", flows(f.flows.ended)},
                    {"about", forecast.about}});
  }
  return list;
}

}  // namespace

Json change_json(const ChangeResult& result) {
  return {{"changed", result.changed},
          {"dry_run", result.dry_run},
          {"revision", result.revision},
          {"generation", result.generation},
          {"digest", result.digest},
          {"late_workers", result.late_workers},
          {"lines", result.lines},
          {"forecast", forecast_json(result.forecast)},
          {"restart", result.restart},
          {"warnings", result.warnings},
          {"trial", trial_json(result.trial)}};
}

Json trial_json(const std::optional<Trial>& trial) {
  if (!trial) return nullptr;
  return {{"until", trial->until}, {"back_to", trial->back_to}};
}

net::Result<Json> run_changes(Call& call, const std::vector<model::Change>& changes, const ChangeOptions& options) {
  auto result = call.control().change(changes, options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

}  // namespace lb::ctl
