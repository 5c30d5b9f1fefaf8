// A revision as the state, the history's index and the protocol write it. Read by who wrote it: files on disk.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "ctl/revision.h"

namespace lb::ctl {

nlohmann::json files_json(const std::vector<SourceFile>& files);  // [{path, sha256}]
nlohmann::json revision_record(const Revision& revision);         // all members, by their names
// What every state has had. Throws nlohmann::json::exception when one is missing or of another type; so does the next.
void read_revision(const nlohmann::json& record, Revision& revision);
// The rest, which states have had since schema 3: login_uid, files, restores.
void read_origin(const nlohmann::json& record, Revision& revision);

}  // namespace lb::ctl
