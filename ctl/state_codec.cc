// The format of state.json: one JSON object; `checksum` covers all other members as nlohmann::json writes them, sorted.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ctl/digest.h"
#include "ctl/revision_json.h"
#include "ctl/state_store.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

net::Error damage(std::string what) {
  return {net::Code::kInvalid, std::move(what)};
}

Json override_record(const model::Override& o) {
  return {{"uid", o.uid}, {"login_uid", o.login_uid}, {"reason", o.reason}, {"since", o.since}, {"expires", o.expires}};
}

// Throws Json::exception.
model::Override read_override(const Json& json) {
  return {.uid = json.at("uid").get<uint32_t>(),
          .login_uid = json.at("login_uid").get<std::string>(),
          .reason = json.at("reason").get<std::string>(),
          .since = json.at("since").get<int64_t>(),
          .expires = json.at("expires").get<int64_t>()};
}

Json overlay_json(const model::Overlay& overlay) {
  Json drained = Json::array(), leaving = Json::array(), former = Json::array();
  for (const auto& [name, o] : overlay.drained) {
    Json json = override_record(o);
    json["pool"] = name.pool;
    json["name"] = name.name;
    drained.push_back(std::move(json));
  }
  for (const auto& [key, l] : overlay.leaving) {
    leaving.push_back({{"pool", key.pool},
                       {"name", key.name},
                       {"address", key.address.to_string()},
                       {"since", l.since},
                       {"until", l.until}});
  }
  for (const auto& [service, f] : overlay.former_pools) {
    former.push_back({{"service", service}, {"pool", f.pool}, {"until", f.until}});
  }
  Json withdrawn = Json::object();
  for (const auto& [service, o] : overlay.withdrawn) withdrawn[service] = override_record(o);
  return {{"drained", std::move(drained)},
          {"leaving", std::move(leaving)},
          {"former_pools", std::move(former)},
          {"withdrawn", std::move(withdrawn)},
          {"node_drain", overlay.node_drain ? override_record(*overlay.node_drain) : Json(nullptr)}};
}

// Throws Json::exception. Not there in states from before schema 3.
void read_withdrawals(const Json& json, model::Overlay& overlay) {
  if (const auto withdrawn = json.find("withdrawn"); withdrawn != json.end())
    for (const auto& [service, o] : withdrawn->items()) overlay.withdrawn[service] = read_override(o);
  if (const auto o = json.find("node_drain"); o != json.end() && !o->is_null()) overlay.node_drain = read_override(*o);
}

// Throws Json::exception like what it calls. RETURNS: false when an address is none.
bool read_overlay(const Json& json, model::Overlay& overlay) {
  for (const Json& d : json.at("drained")) {
    overlay.drained[{d.at("pool").get<std::string>(), d.at("name").get<std::string>()}] = read_override(d);
  }
  for (const Json& l : json.at("leaving")) {
    const auto address = net::Address::parse(l.at("address").get<std::string>());
    if (!address) return false;
    overlay.leaving[{l.at("pool").get<std::string>(), l.at("name").get<std::string>(), *address}] = {
        l.at("since").get<int64_t>(), l.at("until").get<int64_t>()};
  }
  for (const Json& f : json.at("former_pools")) {
    overlay.former_pools[f.at("service").get<std::string>()] = {f.at("pool").get<std::string>(),
                                                                f.at("until").get<int64_t>()};
  }
  read_withdrawals(json, overlay);
  return true;
}

// What schema 3 has besides.
void read_newer(const Json& json, State& state) {
  read_origin(json, state);
  if (const Json& trial = json.at("trial"); !trial.is_null())
    state.trial = {.until = trial.at("until").get<int64_t>(), .back_to = trial.at("back_to").get<uint64_t>()};
}

net::Result<State> read_members(const Json& json) {
  State state;
  try {
    read_revision(json, state);
    state.config_text = json.at("config").get<std::string>();
    if (json.at("schema").get<uint64_t>() >= 2 && !read_overlay(json.at("overlay"), state.overlay)) {
      return damage("a leaving backend has no address");
    }
    if (json.at("schema").get<uint64_t>() >= 3) read_newer(json, state);
  } catch (const Json::exception&) {
    return damage("a member is missing or of another type");
  }
  if (digest_hex(state.config_text) != state.digest) return damage("the configuration does not match its digest");
  return state;
}

}  // namespace

std::string encode_state(const State& state) {
  Json json = revision_record(state);
  json["schema"] = kStateSchema;
  json["config"] = state.config_text;
  json["overlay"] = overlay_json(state.overlay);
  json["trial"] = nullptr;
  if (state.trial) json["trial"] = {{"until", state.trial->until}, {"back_to", state.trial->back_to}};
  json["checksum"] = digest_hex(dump(json));
  return dump(json) + '\n';
}

net::Result<State> decode_state(const std::string& text) {
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return damage("it is cut short or no JSON object");
  const auto schema = json.find("schema");
  if (schema == json.end() || !schema->is_number_unsigned()) return damage("it has no schema number");
  if (schema->get<uint64_t>() > kStateSchema) {
    return net::Error{net::Code::kUnsupported,
                      fmt::format("its schema is {}, this lbd reads {}: start the newer lbd that wrote it, or move the "
                                  "file away to begin from the configuration file",
                                  schema->get<uint64_t>(), kStateSchema)};
  }
  const auto checksum = json.find("checksum");
  if (checksum == json.end() || !checksum->is_string()) return damage("it has no checksum");
  const std::string told = checksum->get<std::string>();
  json.erase(checksum);
  if (digest_hex(dump(json)) != told) return damage("its checksum does not match");
  return read_members(json);
}

}  // namespace lb::ctl
