#include "ctl/dispatcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <exception>
#include <nlohmann/json.hpp>
#include <span>

#include "ctl/log.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

// JSON-RPC 2.0 section 5.1; the last is the server's own, with data.code beside it.
enum RpcCode { kNotJson = -32700, kNotRequest = -32600, kNoMethod = -32601, kBadParams = -32602, kRefusal = -32000 };

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Reply error_reply(const Json& id, int rpc_code, const net::Error& error, const std::vector<std::string>& problems) {
  Json data = {{"code", code_text(error.code)}};
  if (!problems.empty()) data["problems"] = problems;
  const Json json = {{"jsonrpc", "2.0"},
                     {"id", id},
                     {"error", {{"code", rpc_code}, {"message", error.message}, {"data", std::move(data)}}}};
  return {dump(json), rpc_code == kNotJson};
}

const Method* find_method(std::string_view name) {
  static const std::vector<Method> all = all_methods();
  const auto it = std::find_if(all.begin(), all.end(), [&](const Method& m) { return m.name == name; });
  return it == all.end() ? nullptr : &*it;
}

// "backend drain", as lbctl calls it.
std::string in_words(std::string_view method) {
  std::string words(method);
  std::replace(words.begin(), words.end(), '.', ' ');
  return words;
}

bool is_dry_run(const Json& params) {
  if (!params.is_object()) return false;
  const auto dry = params.find("dry_run");
  return dry != params.end() && dry->is_boolean() && dry->get<bool>();
}

bool is_id(const Json& id) {
  return id.is_number() || (id.is_string() && id.get_ref<const std::string&>().size() <= 256);
}

// What is wrong with the frame of a request, empty if nothing.
std::string_view frame_fault(const Json& request) {
  if (request.is_array()) return "batches are not in this protocol: send one request a line";
  if (!request.is_object()) return "a request is an object: {\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"hello\"}";
  const auto version = request.find("jsonrpc");
  if (version == request.end() || *version != "2.0") return "`jsonrpc` must be \"2.0\"";
  const auto id = request.find("id");
  if (id == request.end()) return "`id` is missing: notifications are not in this protocol";
  if (!is_id(*id)) return "`id` must be a number or a text of at most 256 bytes";
  const auto method = request.find("method");
  if (method == request.end() || !method->is_string()) return "`method` must be a text";
  return {};
}

}  // namespace

std::string_view code_text(net::Code code) {
  static constexpr std::array<std::string_view, 10> kTexts = {"invalid",     "not_found",  "exists",      "conflict",
                                                              "unsupported", "permission", "unavailable", "timeout",
                                                              "io",          "internal"};
  return kTexts[static_cast<size_t>(code)];
}

std::vector<Method> all_methods() {
  std::vector<Method> all;
  for (auto family : {service_methods(), pool_methods(), backend_methods(), config_methods(), history_methods(),
                      show_methods(), explain_methods(), stats_methods(), port_methods(), engine_methods(),
                      table_methods(), flow_methods(), events_methods(), node_methods()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  return all;
}

Reply fault_reply(int rpc_code, net::Code code, std::string_view message) {
  return error_reply(nullptr, rpc_code, {code, std::string(message)}, {});
}

struct Dispatcher::Request {
  const Json& id;
  const Json& params;
};

AuditEntry Dispatcher::audit_entry(const Peer& peer) const {
  AuditEntry entry{peer};
  entry.user = node_.access.name_of(peer.uid);
  if (!peer.login_uid.empty()) {
    const auto login = std::strtoul(peer.login_uid.c_str(), nullptr, 10);
    entry.login_user = node_.access.name_of(static_cast<uint32_t>(login));
  }
  entry.role = node_.access.role_of(peer);
  return entry;
}

Reply Dispatcher::turn_away(const Peer& peer) {
  const net::Error error = node_.access.refusal(peer, "lbd's socket", Role::kViewer);
  AuditEntry entry = audit_entry(peer);
  entry.method = "connect";
  entry.error = &error;
  entry.code = code_text(error.code);
  node_.audit.refused(entry);
  return error_reply(nullptr, kRefusal, error, {});
}

Reply Dispatcher::refuse(const Method& method, const Request& request, const Peer& peer, Role needed) {
  const net::Error error = node_.access.refusal(peer, in_words(method.name), needed);
  AuditEntry entry = audit_entry(peer);
  entry.method = method.name;
  entry.params = &request.params;
  entry.error = &error;
  entry.code = code_text(error.code);
  node_.audit.refused(entry);
  return error_reply(request.id, kRefusal, error, {});
}

Reply Dispatcher::run(const Method& method, const Request& request, Call& call) {
  auto result = net::Result<Json>(net::Error{});
  try {
    result = method.handler(call);
  } catch (const std::exception& e) {
    result = net::Error{net::Code::kInternal, fmt::format("{} failed: {}", method.name, e.what())};
    log(LogLevel::kError, "handler_failed", {{"method", method.name}, {"why", e.what()}});
  }
  if (method.needs == kChanges && !is_dry_run(request.params)) {
    AuditEntry entry = audit_entry(call.peer);
    entry.method = method.name;
    entry.params = &request.params;
    entry.result = result ? &*result : nullptr;
    entry.error = result ? nullptr : &result.error();
    if (!result) entry.code = code_text(result.error().code);
    node_.audit.change(entry);
  }
  if (!result) {
    return error_reply(request.id, call.params.faults().shape ? kBadParams : kRefusal, result.error(), call.problems);
  }
  return {dump({{"jsonrpc", "2.0"}, {"id", request.id}, {"result", std::move(*result)}})};
}

Reply Dispatcher::handle(std::string_view line, const Peer& peer, std::deque<UniqueFd>& fds) {
  const Json request = Json::parse(line, nullptr, false);
  if (request.is_discarded()) {
    return fault_reply(kNotJson, net::Code::kInvalid, "not JSON: one JSON-RPC 2.0 request a line is expected");
  }
  const std::string_view fault = frame_fault(request);
  if (!fault.empty()) {
    const bool has_id = request.is_object() && request.contains("id") && is_id(request["id"]);
    return error_reply(has_id ? request["id"] : Json(nullptr), kNotRequest, {net::Code::kInvalid, std::string(fault)},
                       {});
  }
  const Json& id = request["id"];
  const std::string name = request["method"].get<std::string>();
  const Method* method = find_method(name);
  if (method == nullptr) {
    return error_reply(id, kNoMethod,
                       {net::Code::kUnsupported, fmt::format("no method `{}` in this version", name.substr(0, 80))},
                       {});
  }
  static const Json kNone = Json::object();
  const auto found = request.find("params");
  const Json& params = found == request.end() ? kNone : *found;
  Faults faults;
  Fields fields(params, "", faults);
  Call call{node_, name, fields, peer, std::nullopt, {}};
  if (method->document && !fds.empty() && params.is_object() && params.contains("fd")) {
    call.fd = std::move(fds.front());
    fds.pop_front();
  }
  const Role needed = method->needs == kChanges && is_dry_run(params) ? kReads : method->needs;
  if (node_.access.role_of(peer) < needed) return refuse(*method, {id, params}, peer, needed);
  return run(*method, {id, params}, call);
}

}  // namespace lb::ctl
