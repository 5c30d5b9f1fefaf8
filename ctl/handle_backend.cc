// backend.list, show, add, set, remove
#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_change.h"
#include "ctl/json_view.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

net::Result<Json> list(Call& call) {
  const Selector selector = read_selector(call.params, "select");
  if (auto fault = call.fault()) return *fault;
  auto selected = select(call.control().config(), selector, Count::kAny);
  if (!selected) return std::move(selected).error();
  const View view(call.control());
  Json backends = Json::array();
  for (const Selected& s : *selected) backends.push_back(view.backend(s));
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
  if (!selected) return std::move(selected).error();
  const View view(call.control());
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

}  // namespace

std::span<const Method> backend_methods() {
  static constexpr Method kMethods[] = {{"backend.list", list},
                                        {"backend.show", show},
                                        {"backend.add", add},
                                        {"backend.set", set},
                                        {"backend.remove", remove}};
  return kMethods;
}

}  // namespace lb::ctl
