#include "ctl/flow_filter.h"

#include <fmt/format.h>

#include "ctl/selector.h"
#include "dataplane/model/lookup.h"

namespace lb::ctl {
namespace {

std::optional<net::Prefix> read_client(Fields& fields) {
  if (!fields.has("client")) return std::nullopt;
  const auto prefix = net::Prefix::parse(fields.text("client"));
  if (prefix) return *prefix;
  fields.fail("client", prefix.error());
  return std::nullopt;
}

std::optional<model::FlowClass> read_class(Fields& fields) {
  if (!fields.has("class")) return std::nullopt;
  const std::string word = fields.text("class");
  const auto found = model::parse_flow_class(word);
  if (!found) {
    fields.fail("class", {net::Code::kInvalid, fmt::format("`{}` is no class of flows; known: once, established, "
                                                           "closing, udp",
                                                           word.substr(0, 60))});
  }
  return found;
}

bool name_fits(const std::string& pattern, const model::BackendState& s) {
  return matches(pattern, pattern.find('/') == std::string::npos ? s.name : s.pool + '/' + s.name);
}

}  // namespace

KnownFlow know(const model::Snapshot& snapshot, const model::Flow& flow) {
  KnownFlow known;
  known.service = model::find_listener(snapshot, flow.destination, flow.destination_port, net::raw(flow.proto)).service;
  if (known.service == LB_NO_SERVICE) return known;
  const uint8_t family = model::is_ipv4(flow.destination) ? 4 : 6;
  const uint16_t backend = net::raw(flow.backend);
  known.pinned =
      model::serves_flow(snapshot, snapshot.services[known.service], backend, family) == model::Serves::kYes &&
      model::chosen_backend(snapshot, known.service, flow.source, flow.destination, flow.hash) != backend;
  return known;
}

FlowFilter FlowFilter::read(Fields& fields) {
  FlowFilter filter;
  if (fields.has("service")) filter.service_ = fields.text("service");
  if (fields.has("backend")) filter.backend_ = fields.text("backend");
  filter.client_ = read_client(fields);
  filter.class_ = read_class(fields);
  filter.pinned_ = fields.flag("pinned");
  return filter;
}

net::Status FlowFilter::resolve(const Controller& control) {
  if (service_) {
    if (!control.config().services.contains(*service_)) {
      return net::Error{net::Code::kNotFound, fmt::format("there is no service `{}`", service_->substr(0, 80))};
    }
    service_index_ = net::raw(control.ids().service(*service_));
  }
  if (!backend_) return {};
  const model::Snapshot& snapshot = control.snapshot();
  backends_.assign(snapshot.backends.size(), false);
  bool any = false;
  for (const auto* states : {&snapshot.backend_states, &snapshot.leaving_states}) {
    for (const model::BackendState& s : *states) {
      if (!name_fits(*backend_, s)) continue;
      backends_[net::raw(s.id)] = any = true;
    }
  }
  if (any) return {};
  return net::Error{net::Code::kNotFound,
                    fmt::format("no backend fits `{}`: `lbctl backend list` shows all", backend_->substr(0, 160))};
}

bool FlowFilter::fits(const model::Flow& flow, const KnownFlow& known) const {
  if (service_ && known.service != service_index_) return false;
  if (backend_ && (net::raw(flow.backend) >= backends_.size() || !backends_[net::raw(flow.backend)])) return false;
  if (class_ && flow.flow_class != *class_) return false;
  if (pinned_ && !known.pinned) return false;
  return !client_ || client_->contains(net::Address(flow.source));
}

}  // namespace lb::ctl
