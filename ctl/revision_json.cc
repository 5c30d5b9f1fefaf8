#include "ctl/revision_json.h"

#include <nlohmann/json.hpp>

namespace lb::ctl {

using Json = nlohmann::json;

Json files_json(const std::vector<SourceFile>& files) {
  Json list = Json::array();
  for (const SourceFile& f : files) list.push_back({{"path", f.path}, {"sha256", f.sha256}});
  return list;
}

Json revision_record(const Revision& r) {
  return {{"revision", r.revision}, {"uid", r.uid},       {"login_uid", r.login_uid}, {"command", r.command},
          {"reason", r.reason},     {"time_s", r.time_s}, {"digest", r.digest},       {"files", files_json(r.files)},
          {"restores", r.restores}};
}

void read_revision(const Json& record, Revision& r) {
  r.revision = record.at("revision").get<uint64_t>();
  r.uid = record.at("uid").get<uint32_t>();
  r.command = record.at("command").get<std::string>();
  r.reason = record.at("reason").get<std::string>();
  r.time_s = record.at("time_s").get<int64_t>();
  r.digest = record.at("digest").get<std::string>();
}

void read_origin(const Json& record, Revision& r) {
  r.login_uid = record.at("login_uid").get<std::string>();
  for (const Json& f : record.at("files"))
    r.files.push_back({f.at("path").get<std::string>(), f.at("sha256").get<std::string>()});
  r.restores = record.at("restores").get<uint64_t>();
}

}  // namespace lb::ctl
