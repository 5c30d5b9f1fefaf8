// config.history, compare, rollback, confirm, blame: revisions, what was between them, and back.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_change.h"
#include "ctl/revision_json.h"
#include "dataplane/model/diff.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

Json revision_json(const Revision& r) {
  return {{"revision", r.revision},
          {"time", r.time_s},
          {"uid", r.uid},
          {"login_uid", r.login_uid},
          {"command", r.command},
          {"reason", r.reason},
          {"digest", r.digest},
          {"files", files_json(r.files)},
          {"restores", r.restores == 0 ? Json(nullptr) : Json(r.restores)}};
}

net::Result<Json> history(Call& call) {
  const auto since_s = call.params.number("since_s", INT64_MAX);
  const auto limit = call.params.number("limit", kMaxRevisions);
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  const auto entries = control.history().entries();
  const int64_t from = since_s ? control.now() - static_cast<int64_t>(*since_s) : INT64_MIN;
  Json list = Json::array();
  for (auto it = entries.rbegin(); it != entries.rend() && list.size() < limit.value_or(kMaxRevisions); ++it) {
    const HistoryEntry& e = **it;
    if (e.time_s < from) continue;
    Json json = revision_json(e);
    json["changes"] = e.changes;
    json["first"] = e.first;
    list.push_back(std::move(json));
  }
  return Json{{"revisions", std::move(list)},
              {"current", control.revision()},
              {"oldest", entries.empty() ? control.revision() : entries.front()->revision},
              {"trial", trial_json(control.trial())}};
}

net::Result<Json> compare(Call& call) {
  const auto from = call.params.number("from", UINT64_MAX), to = call.params.number("to", UINT64_MAX);
  if (!from) call.params.missing("from");
  if (auto fault = call.fault()) return *fault;
  const Controller& control = call.control();
  const auto before = control.former(*from);
  if (!before) return before.error();
  const uint64_t last = to.value_or(control.revision());
  const auto after = control.former(last);
  if (!after) return after.error();
  return Json{{"from", *from}, {"to", last}, {"lines", model::diff(*before, *after).lines}};
}

net::Result<Json> rollback(Call& call) {
  const auto to = call.params.number("to", UINT64_MAX);
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  auto result = call.control().rollback(to, options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

net::Result<Json> confirm(Call& call) {
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  auto result = call.control().confirm(options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

// "web" is the service and the pool of that name; "fe/fe11" a backend; "fe" its backends, too.
bool is_asked(const std::string& what, const std::string& wanted) {
  if (wanted.empty()) return true;
  const std::string name = what.substr(what.find(' ') + 1);
  return name == wanted || (what.starts_with("backend ") && name.starts_with(wanted + '/'));
}

net::Result<Json> blame(Call& call) {
  const std::string wanted = call.params.text_or("select", "");
  if (auto fault = call.fault()) return *fault;
  const History& history = call.control().history();
  Json list = Json::array();
  for (const auto& [what, touch] : history.touched()) {
    if (!is_asked(what, wanted) || (touch.removed && wanted.empty())) continue;
    const HistoryEntry* entry = history.entry(touch.revision);
    if (entry == nullptr) continue;
    Json json = revision_json(*entry);
    json["what"] = what;
    json["removed"] = touch.removed;
    list.push_back(std::move(json));
  }
  if (list.empty() && !wanted.empty()) {
    return net::Error{net::Code::kNotFound,
                      fmt::format("no service, pool or backend `{}` is known to the history: say a service, a pool or "
                                  "POOL/BACKEND",
                                  wanted.substr(0, 130))};
  }
  return Json{{"touched", std::move(list)}};
}

}  // namespace

std::span<const Method> history_methods() {
  static constexpr Method kMethods[] = {{"config.history", kReads, history},
                                        {"config.compare", kReads, compare},
                                        {"config.rollback", kChanges, rollback},
                                        {"config.confirm", kChanges, confirm},
                                        {"config.blame", kReads, blame}};
  return kMethods;
}

}  // namespace lb::ctl
