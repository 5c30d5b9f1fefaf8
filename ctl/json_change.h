// Parameters of changes to model values, and the result of a change to JSON.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "ctl/call.h"
#include "dataplane/model/change.h"

namespace lb::ctl {

model::Service read_service(Fields& fields);                           // {name, listen, pool, forward?, ...}
model::SetService read_service_set(Fields& fields, std::string name);  // {any of them}
model::Backend read_backend(Fields& fields);                           // {name, address, weight?, labels?}
model::SetBackend read_backend_set(Fields& fields);                    // pool and name are left empty
std::vector<model::Backend> read_backends(Fields& fields, std::string_view key);

std::optional<int64_t> read_expiry(Call& call);  // expires_s, of an override
ChangeOptions read_options(Call& call);          // dry_run, reason, expect_revision, allow_remove
nlohmann::json change_json(const ChangeResult& result);
nlohmann::json trial_json(const std::optional<Trial>& trial);  // {until, back_to}, or null

// Runs the changes and answers.
net::Result<nlohmann::json> run_changes(Call& call, const std::vector<model::Change>& changes,
                                        const ChangeOptions& options);

}  // namespace lb::ctl
