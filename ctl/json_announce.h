// What is announced and why not, as JSON and as sentences: for services, the node and the summary.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ctl/call.h"

namespace lb::ctl {

// {announced, withdrawn: null or who and why, vips: [{address, announced, why}]}; null with `announce: off`.
nlohmann::json announcement_json(const Node& node, const model::Service& service);
nlohmann::json vips_json(const Node& node);  // of the whole node: [{address, announced, why, services}]
// For the summary: what keeps addresses from being announced.
std::vector<std::string> announce_problems(const Node& node);
// Warns of addresses of a service that are not announced although nobody withdrew them.
void tell_not_announced(const Node& node, const std::string& service, ChangeResult& result);

// Overrides of what is announced, from the options of a change. RETURNS: whether it differs from `by`, which it
// becomes.
bool take_override(model::Override& by, std::optional<int64_t> expires_s, int64_t now, const ChangeOptions& options);
std::string expires_text(std::optional<int64_t> expires_s);  // " for 60 s", or empty

}  // namespace lb::ctl
