#include "ctl/selector.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

namespace lb::ctl {
namespace {

bool name_fits(std::string_view pattern, const model::Pool& pool, const model::Backend& backend) {
  const size_t slash = pattern.find('/');
  if (slash == std::string_view::npos) return matches(pattern, backend.name);
  return matches(pattern.substr(0, slash), pool.name) && matches(pattern.substr(slash + 1), backend.name);
}

bool labels_fit(const std::map<std::string, std::string>& wanted, const model::Backend& backend) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto it = backend.labels.find(label.first);
    return it != backend.labels.end() && it->second == label.second;
  });
}

std::string describe(const Selector& selector) {
  std::vector<std::string> parts = selector.names;
  for (const auto& [key, value] : selector.labels) parts.push_back(fmt::format("label {}={}", key, value));
  return some_of(parts);
}

// What there is, as near to the question as possible: the pool's backends when the pool exists, else the pools.
net::Error nothing_fits(const model::Config& config, const std::string& wanted) {
  std::vector<std::string> there;
  const std::string pool_name = wanted.substr(0, wanted.find('/'));
  const auto pool = config.pools.find(pool_name);
  if (pool != config.pools.end()) {
    for (const model::Backend& b : pool->second.backends) there.push_back(pool_name + '/' + b.name);
    return {net::Code::kNotFound, fmt::format("no backend fits `{}`; pool {} has {}", wanted, pool_name,
                                              there.empty() ? std::string("none") : some_of(there))};
  }
  for (const auto& [name, value] : config.pools) there.push_back(name);
  return {net::Code::kNotFound, fmt::format("no backend fits `{}`; there are the pools: {}", wanted,
                                            there.empty() ? std::string("none") : some_of(there))};
}

}  // namespace

std::string some_of(const std::vector<std::string>& names, size_t limit) {
  const size_t shown = std::min(limit, names.size());
  std::string text = fmt::format("{}", fmt::join(std::span(names).first(shown), ", "));
  return shown == names.size() ? text : fmt::format("{} and {} more", text, names.size() - shown);
}

bool matches(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      p++;
      n++;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') p++;
  return p == pattern.size();
}

Selector read_selector(Fields& fields, std::string_view key) {
  Selector selector;
  const nlohmann::json* value = fields.object(key);
  if (value == nullptr) return selector;
  Fields inner(*value, fields.path_of(key) + '.', fields.faults());
  selector.names = inner.texts("names");
  selector.labels = inner.text_map("labels");
  inner.finish();
  return selector;
}

net::Result<std::vector<Selected>> select(const model::Config& config, const Selector& selector, Count count) {
  std::vector<Selected> found;
  std::vector<bool> used(selector.names.size(), false);
  for (const auto& [pool_name, pool] : config.pools) {
    for (const model::Backend& backend : pool.backends) {
      bool fits = selector.names.empty();
      for (size_t i = 0; i < selector.names.size(); i++) {
        if (!name_fits(selector.names[i], pool, backend)) continue;
        used[i] = fits = true;
      }
      if (fits && labels_fit(selector.labels, backend)) found.push_back({&pool, &backend});
    }
  }
  for (size_t i = 0; i < used.size(); i++) {
    if (!used[i]) return nothing_fits(config, selector.names[i]);
  }
  if (found.empty() && !selector.empty()) return nothing_fits(config, describe(selector));
  if (count == Count::kOne && found.size() != 1) {
    std::vector<std::string> names;
    for (const Selected& s : found) names.push_back(s.pool->name + '/' + s.backend->name);
    if (names.empty()) return net::Error{net::Code::kNotFound, "there is no backend at all"};
    return net::Error{net::Code::kConflict, fmt::format("`{}` fits {} backends: {}; name one, or give --all",
                                                        describe(selector), names.size(), some_of(names, 20))};
  }
  return found;
}

}  // namespace lb::ctl
