#include "dataplane/model/flows.h"

#include <array>

#include "dataplane/net/flow_bucket.h"

namespace lb::model {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"once", "established", "closing", "udp"};

}  // namespace

FlowClass to_flow_class(uint32_t entry_class) noexcept {
  switch (entry_class) {
    case LB_FLOW_ESTABLISHED:
      return FlowClass::kEstablished;
    case LB_FLOW_CLOSING:
    case LB_FLOW_RESET:
      return FlowClass::kClosing;
    case LB_FLOW_UDP:
      return FlowClass::kUdp;
    default:
      return FlowClass::kOnce;
  }
}

std::string_view to_string(FlowClass c) noexcept {
  return kNames[static_cast<size_t>(c)];
}

std::optional<FlowClass> parse_flow_class(std::string_view s) noexcept {
  for (size_t i = 0; i < kNames.size(); i++)
    if (kNames[i] == s) return static_cast<FlowClass>(i);
  return std::nullopt;
}

}  // namespace lb::model
