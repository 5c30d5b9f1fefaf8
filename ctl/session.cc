#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <ostream>

#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/host_machine.h"
#include "ctl/render_text.h"

namespace lb::ctl {

using nlohmann::json;

std::string_view code_name(net::Code code) noexcept {
  switch (code) {
    case net::Code::kInvalid:
      return "invalid";
    case net::Code::kNotFound:
      return "not_found";
    case net::Code::kExists:
      return "exists";
    case net::Code::kConflict:
      return "conflict";
    case net::Code::kUnsupported:
      return "unsupported";
    case net::Code::kPermission:
      return "permission";
    case net::Code::kUnavailable:
      return "unavailable";
    case net::Code::kTimeout:
      return "timeout";
    case net::Code::kIo:
      return "io";
    case net::Code::kInternal:
      break;
  }
  return "internal";
}

Failure to_failure(const net::Error& error) {
  return {
      error.code == net::Code::kTimeout ? kTimedOut : kRefused, std::string(code_name(error.code)), error.message, {}};
}

Session::Session(Streams streams) : machine(this_machine()), streams_(streams) {}
Session::~Session() = default;

Renderer& Session::renderer() {
  if (!renderer_) {
    renderer_ = options.json ? make_json_renderer(streams_.out) : make_text_renderer(streams_.out, streams_.colour);
  }
  return *renderer_;
}

void Session::show(const json& result, TextView view) {
  renderer().show(result, view);
}

int Session::fail(const Failure& failure) {
  for (const std::string& problem : failure.problems) streams_.err << problem << '\n';
  streams_.err << "lbctl: " << failure.message << '\n';
  const json orphans = failure.exit == kNoDaemon ? tell_orphans() : json();
  if (options.json) {
    json error = {{"code", failure.code}, {"message", failure.message}};
    if (!failure.problems.empty()) error["problems"] = failure.problems;
    if (!orphans.is_null()) error["still_forwards"] = orphans;
    show(json{{"changed", false}, {"error", std::move(error)}}, nullptr);
  }
  return failed_ = failure.exit;
}

json Session::tell_orphans() {
  const json found = without_daemon ? without_daemon() : json();
  if (found.is_object()) streams_.err << "lbctl: " << found.value("message", "") << '\n';
  return found;
}

int Session::usage(const std::string& sentence) {
  return fail({kUsage, "invalid", sentence, {}});
}

std::variant<json, Failure> Session::request(std::string_view method, const json& params) {
  if (!client_) {
    const auto timeout = std::chrono::duration<double>(options.timeout_s);
    client_ = std::make_unique<Client>(options.socket, std::chrono::duration_cast<std::chrono::milliseconds>(timeout));
  }
  return client_->call(method, params);
}

std::optional<json> Session::call(std::string_view method, const json& params) {
  Answer answer = request(method, params);
  if (const auto* failure = std::get_if<Failure>(&answer)) {
    fail(*failure);
    return std::nullopt;
  }
  return std::get<json>(std::move(answer));
}

int Session::ask(std::string_view method, const json& params, TextView view) {
  const auto result = call(method, params);
  if (!result) return failed();
  show(*result, view);
  return kDone;
}

bool Session::add_change_options(json& params) {
  if (options.dry_run) params["dry_run"] = true;
  if (!options.reason.empty()) params["reason"] = options.reason;
  if (options.expect_revision) params["expect_revision"] = *options.expect_revision;
  if (options.break_flows) params["allow_break"] = *options.break_flows;
  if (!options.allow_reshuffle.empty()) params["allow_reshuffle"] = options.allow_reshuffle;
  for (const std::string& word : options.allow_below) {
    const size_t equals = word.find('=');
    const char *begin = word.data() + (equals == std::string::npos ? word.size() : equals + 1),
               *end = word.data() + word.size();
    uint64_t left = 0;
    const auto parsed = std::from_chars(begin, end, left);  // of nothing: no number
    if (equals == 0 || parsed.ec != std::errc() || parsed.ptr != end) {
      usage(fmt::format("--allow-below \"{}\": write POOL=N, as in fe=1", word));
      return false;
    }
    params["allow_below"][word.substr(0, equals)] = left;
  }
  return true;
}

int Session::change(std::string_view method, json params) {
  if (!add_change_options(params)) return failed();
  const auto result = call(method, params);
  return result ? show_change(*result) : failed();
}

int Session::show_change(const json& result) {
  show(result, view_change);
  for (const std::string& warning : texts_of(result, "warnings")) streams_.err << "lbctl: warning: " << warning << '\n';
  const auto late = texts_of(result, "late_workers");
  if (late.empty()) return kDone;
  streams_.err << fmt::format(
      "lbctl: done in part: the worker{} {} did not take generation {} within 2 s and still {} the one before; "
      "`lbctl stats workers` shows when that ends\n",
      late.size() == 1 ? "" : "s", join(late), number_of(result, "generation"), late.size() == 1 ? "uses" : "use");
  return failed_ = kInPart;
}

}  // namespace lb::ctl
