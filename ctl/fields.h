// Reading of one JSON object of a request: every member is asked for by name and type, what nobody asked for is an
// error. The first fault is kept; reading goes on with defaults, so that callers check once, at the end.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/result.h"

namespace lb::ctl {

struct Faults {
  std::optional<net::Error> first;
  bool shape = false;  // the first one is about a parameter's presence or type: JSON-RPC's "invalid params"
};

class Fields {
 public:
  using Json = nlohmann::json;
  // json: an object, else a fault. path: "" or "service." as in messages.
  Fields(const Json& json, std::string path, Faults& faults);

  bool has(std::string_view key);
  std::string text(std::string_view key);  // required
  std::string text_or(std::string_view key, std::string fallback);
  bool flag(std::string_view key);  // absent: false
  std::optional<uint64_t> number(std::string_view key, uint64_t max);
  std::vector<std::string> texts(std::string_view key);  // array of text; absent: empty
  std::map<std::string, std::string> text_map(std::string_view key);
  const Json* object(std::string_view key);                   // null when absent or a fault
  const Json* array(std::string_view key, size_t max_items);  // null when absent or a fault

  void missing(std::string_view key);
  void fail(std::string_view key, const net::Error& error);  // a value that breaks a rule
  void finish();                                             // what was not asked for is a fault
  bool ok() const { return !faults_.first; }
  Faults& faults() { return faults_; }
  std::string path_of(std::string_view key) const;

 private:
  const Json* find(std::string_view key);
  void wrong(std::string_view key, const Json& value, std::string_view wanted);
  void shape(std::string message);

  const Json* json_;
  std::string path_;
  Faults& faults_;
  std::vector<std::string_view> asked_;
};

}  // namespace lb::ctl
