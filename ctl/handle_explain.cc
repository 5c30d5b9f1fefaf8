// explain: what would happen to a packet, answered by the engine's own pipeline; here it only gets its names.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>

#include "ctl/call.h"
#include "ctl/json_view.h"
#include "dataplane/model/explain_frame.h"

namespace lb::ctl {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFlows = 4096;
constexpr uint64_t kMaxPacket = 65535;

std::optional<net::Endpoint> read_endpoint(Fields& fields, std::string_view key) {
  if (!fields.has(key)) fields.missing(key);
  const std::string text = fields.text_or(key, "");
  if (text.empty()) return std::nullopt;
  auto endpoint = net::Endpoint::parse(text);
  if (endpoint) return *endpoint;
  fields.fail(key, endpoint.error());
  return std::nullopt;
}

model::ExplainRequest read_flow(Fields& fields) {
  model::ExplainRequest flow;
  const std::string proto = fields.text("proto");
  if (auto parsed = net::parse_proto(proto)) {
    flow.proto = *parsed;
  } else {
    fields.fail("proto", parsed.error());
  }
  flow.source = read_endpoint(fields, "source").value_or(net::Endpoint());
  flow.destination = read_endpoint(fields, "destination").value_or(net::Endpoint());
  flow.size = static_cast<uint32_t>(fields.number("size", kMaxPacket).value_or(0));
  if (fields.ok() && flow.source.address.family() != flow.destination.address.family()) {
    fields.fail("source", {net::Code::kInvalid, fmt::format("{} and {} are not of one address family",
                                                            flow.source.to_string(), flow.destination.to_string())});
  }
  return flow;
}

std::string mac_text(const uint8_t* bytes) {
  net::Mac mac;
  std::copy(bytes, bytes + mac.bytes.size(), mac.bytes.begin());
  return mac.to_string();
}

// The outermost IP header of the frame that would leave.
Json outer_json(const std::vector<uint8_t>& frame) {
  const uint32_t front = model::front_of(frame).bytes;
  const uint8_t* ip = frame.data() + front;
  const size_t bytes = frame.size() - front;
  if (bytes >= sizeof(lb_ipv4) && ip[0] >> 4 == 4) {
    return {{"source", net::Address::from_ipv4(ip + 12).to_string()},
            {"destination", net::Address::from_ipv4(ip + 16).to_string()},
            {"protocol", ip[9]},
            {"ttl", ip[8]},
            {"tos", ip[1]}};
  }
  if (bytes >= sizeof(lb_ipv6) && ip[0] >> 4 == 6) {
    return {{"source", net::Address::from_ipv6(ip + 8).to_string()},
            {"destination", net::Address::from_ipv6(ip + 24).to_string()},
            {"protocol", ip[6]},
            {"ttl", ip[7]},
            {"tos", static_cast<uint8_t>(ip[0] << 4 | ip[1] >> 4)}};
  }
  return nullptr;
}

Json answer_of(const model::Explanation& e) {
  if (e.answer.empty()) return nullptr;
  return {{"kind", e.answer}, {"mtu", e.answer_mtu == 0 ? Json(nullptr) : Json(e.answer_mtu)}};
}

Json egress_json(const model::Config& config, const model::Explanation& e) {
  if (!e.port || e.out.size() < sizeof(lb_eth)) return nullptr;
  return {{"port", config.daemon.port_name(net::raw(*e.port))},
          {"dst_mac", e.verdict == "answered" ? Json(nullptr) : Json(mac_text(e.out.data()))},  // of who sent it
          {"src_mac", mac_text(e.out.data() + 6)},
          {"vlan", vlan_json(model::front_of(e.out).vlan)}};
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json flow_json(const model::ExplainRequest& flow) {
  return {{"proto", net::to_string(flow.proto)},
          {"source", flow.source.to_string()},
          {"destination", flow.destination.to_string()}};
}

Json answer_json(const Controller& control, const View& view, const model::Explanation& e) {
  Json json = {{"verdict", e.verdict},
               {"reason", e.reason},
               {"listener", e.listener ? Json(e.listener->to_string()) : Json(nullptr)},
               {"service", or_null(e.service)},
               {"schedule", nullptr},
               {"forward", nullptr},
               {"hash", e.hash ? Json(model::digest_text(*e.hash)) : Json(nullptr)},
               {"slot", or_null(e.slot)},
               {"backend", e.backend ? view.address_of(*e.backend) : Json(nullptr)},
               {"tracked", e.tracked ? Json(model::to_string(*e.tracked)) : Json(nullptr)},
               {"chosen", e.chosen ? view.address_of(*e.chosen) : Json(nullptr)},
               {"pinned", e.tracked && e.chosen && e.backend && *e.chosen != *e.backend},
               {"egress", egress_json(control.config(), e)},
               {"answer", answer_of(e)},
               {"without_df", e.without_df.empty() ? Json(nullptr) : Json(e.without_df)},
               {"in_bytes", e.in_bytes},
               {"out_bytes", e.out_bytes},
               {"outer", nullptr},
               {"generation", net::raw(e.generation)}};
  if (!e.service) return json;
  const auto service = control.config().services.find(*e.service);
  if (service == control.config().services.end()) return json;
  json["schedule"] = model::to_string(service->second.schedule);
  json["forward"] = model::to_string(service->second.forward);
  if (e.verdict == "forwarded" && service->second.forward == model::Forward::kIpip && e.out.size() > sizeof(lb_eth)) {
    json["outer"] = outer_json(e.out);
  }
  return json;
}

net::Result<Json> explain(Call& call) {
  std::vector<model::ExplainRequest> flows;
  if (!call.params.has("flows")) call.params.missing("flows");
  if (const Json* items = call.params.array("flows", kMaxFlows)) {
    for (size_t i = 0; i < items->size() && call.params.ok(); i++) {
      Fields fields((*items)[i], fmt::format("flows[{}].", i), call.params.faults());
      flows.push_back(read_flow(fields));
      fields.finish();
    }
  }
  if (auto fault = call.fault()) return *fault;
  const View view(call.control());
  Json answers = Json::array();
  for (const model::ExplainRequest& flow : flows) {
    auto explanation = call.control().engine().explain(flow);
    if (!explanation) return std::move(explanation).error();
    Json answer = answer_json(call.control(), view, *explanation);
    answer["flow"] = flow_json(flow);
    answers.push_back(std::move(answer));
  }
  return Json{{"generation", call.control().generation()}, {"answers", std::move(answers)}};
}

}  // namespace

std::span<const Method> explain_methods() {
  static constexpr Method kMethods[] = {{"explain", kReads, explain}};
  return kMethods;
}

}  // namespace lb::ctl
