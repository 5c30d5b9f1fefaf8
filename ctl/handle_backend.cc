// backend.list, show, add, set, remove
#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

// Those that are in no pool any more fit by name alone; they have no labels.
std::vector<const model::BackendState*> select_leaving(const model::Snapshot& snapshot, const Selector& selector) {
  std::vector<const model::BackendState*> found;
  if (!selector.labels.empty()) return found;
  for (const model::BackendState& s : snapshot.leaving_states) {
    const auto fits = [&](const std::string& pattern) {
      return matches(pattern, pattern.find('/') == std::string::npos ? s.name : s.pool + '/' + s.name);
    };
    if (selector.names.empty() || std::ranges::any_of(selector.names, fits)) found.push_back(&s);
  }
  return found;
}

net::Result<Json> list(Call& call) {
  const Selector selector = read_selector(call.params, "select");
  if (auto fault = call.fault()) return *fault;
  const auto leaving = select_leaving(call.control().snapshot(), selector);
  auto selected = select(call.control().config(), selector, Count::kAny);
  if (!selected && leaving.empty()) return std::move(selected).error();
  const View view(call.control(), View::Flows::kCount);
  Json backends = Json::array();
  if (selected) {
    for (const Selected& s : *selected) backends.push_back(view.backend(s));
  }
  for (const model::BackendState* s : leaving) backends.push_back(view.leaving(*s));
  return Json{{"backends", std::move(backends)}};
}

// The selector of a command about certain backends: it must say something.
Selector read_required(Call& call) {
  Selector selector = read_selector(call.params, "select");
  if (selector.empty()) call.params.missing("select");
  return selector;
}

net::Result<Json> show(Call& call) {
  const Selector selector = read_required(call);
  if (auto fault = call.fault()) return *fault;
  auto selected = select(call.control().config(), selector, Count::kOne);
  const View view(call.control(), View::Flows::kCount);
  if (!selected) {
    const auto leaving = select_leaving(call.control().snapshot(), selector);
    if (selected.error().code != net::Code::kNotFound || leaving.size() != 1) return std::move(selected).error();
    Json json = view.leaving(*leaving.front());
    json["services"] = Json::array();
    return json;
  }
  Json json = view.backend(selected->front());
  json["services"] = view.backend_services(selected->front());
  return json;
}

net::Result<Json> add(Call& call) {
  model::AddBackend change;
  change.pool = call.params.text("pool");
  if (const Json* json = call.params.object("backend")) {
    Fields fields(*json, "backend.", call.params.faults());
    change.backend = read_backend(fields);
    fields.finish();
  } else {
    call.params.missing("backend");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return run_changes(call, {std::move(change)}, options);
}

// One change for each selected backend, made by `make`.
template <class Make>
net::Result<Json> change_selected(Call& call, const Selector& selector, bool all, const ChangeOptions& options,
                                  Make make) {
  auto selected = select(call.control().config(), selector, all ? Count::kAny : Count::kOne);
  if (!selected) return std::move(selected).error();
  std::vector<model::Change> changes;
  for (const Selected& s : *selected) changes.push_back(make(s));
  return run_changes(call, changes, options);
}

net::Result<Json> set(Call& call) {
  const Selector selector = read_required(call);
  const bool all = call.params.flag("all");
  model::SetBackend change;
  if (const Json* json = call.params.object("set")) {
    Fields fields(*json, "set.", call.params.faults());
    change = read_backend_set(fields);
    fields.finish();
  } else {
    call.params.missing("set");
  }
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return change_selected(call, selector, all, options, [&](const Selected& s) {
    change.pool = s.pool->name;
    change.name = s.backend->name;
    return change;
  });
}

net::Result<Json> remove(Call& call) {
  const Selector selector = read_required(call);
  const bool all = call.params.flag("all");
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  return change_selected(call, selector, all, options, [](const Selected& s) {
    return model::RemoveBackend{s.pool->name, s.backend->name};
  });
}

net::Result<std::vector<model::BackendName>> names_of(Call& call, const Selector& selector, bool all) {
  auto selected = select(call.control().config(), selector, all ? Count::kAny : Count::kOne);
  if (!selected) return std::move(selected).error();
  std::vector<model::BackendName> names;
  for (const Selected& s : *selected) names.push_back({s.pool->name, s.backend->name});
  return names;
}

net::Result<Json> drain(Call& call) {
  const Selector selector = read_required(call);
  const bool all = call.params.flag("all");
  const auto seconds = read_expiry(call);
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  auto names = names_of(call, selector, all);
  if (!names) return std::move(names).error();
  auto result = call.control().drain(*names, seconds, options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

net::Result<Json> ready(Call& call) {
  const Selector selector = read_required(call);
  const bool all = call.params.flag("all");
  const ChangeOptions options = read_options(call);
  if (auto fault = call.fault()) return *fault;
  auto names = names_of(call, selector, all);
  if (!names) return std::move(names).error();
  auto result = call.control().make_ready(*names, options);
  if (!result) return std::move(result).error();
  return change_json(*result);
}

}  // namespace

std::span<const Method> backend_methods() {
  static constexpr Method kMethods[] = {{"backend.list", kReads, list},       {"backend.show", kReads, show},
                                        {"backend.add", kChanges, add},       {"backend.set", kChanges, set},
                                        {"backend.remove", kChanges, remove}, {"backend.drain", kChanges, drain},
                                        {"backend.ready", kChanges, ready}};
  return kMethods;
}

}  // namespace lb::ctl
