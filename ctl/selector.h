// Which backends a command means: {names: ["fe/fe11", "*/fe11", "fe/*"], labels: {rack: "r12"}}.
// A name without "/" is any pool's backend of that name. One of the names must fit, and every label.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/fields.h"
#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

struct Selector {
  std::vector<std::string> names;
  std::map<std::string, std::string> labels;
  bool empty() const { return names.empty() && labels.empty(); }
};

struct Selected {
  const model::Pool* pool;
  const model::Backend* backend;
};

enum class Count { kOne, kAny };  // how many are meant

Selector read_selector(Fields& fields, std::string_view key);

// In order of pool and document. An empty selector selects all.
// ERRORS: kNotFound with what there is, for each name that fits nothing; kConflict with the list when kOne fits
// several.
net::Result<std::vector<Selected>> select(const model::Config& config, const Selector& selector, Count count);

bool matches(std::string_view pattern, std::string_view name);  // `*` stands for any characters

// "a, b, c and 17 more": the first `limit` of a list.
std::string some_of(const std::vector<std::string>& names, size_t limit = 8);

}  // namespace lb::ctl
