#include "ctl/fields.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace lb::ctl {

Fields::Fields(const Json& json, std::string path, Faults& faults)
    : json_(json.is_object() ? &json : nullptr), path_(std::move(path)), faults_(faults) {
  if (json_ == nullptr) {
    shape(path_.empty() ? "parameters must be an object of names and values"
                        : fmt::format("parameter `{}` must be an object", path_.substr(0, path_.size() - 1)));
  }
}

std::string Fields::path_of(std::string_view key) const {
  return path_ + std::string(key);
}

void Fields::shape(std::string message) {
  if (faults_.first) return;
  faults_.first = net::Error{net::Code::kInvalid, std::move(message)};
  faults_.shape = true;
}

void Fields::fail(std::string_view key, const net::Error& error) {
  if (!faults_.first) faults_.first = net::Error{error.code, fmt::format("{}: {}", path_of(key), error.message)};
}

void Fields::missing(std::string_view key) {
  shape(fmt::format("parameter `{}` is missing", path_of(key)));
}

void Fields::wrong(std::string_view key, const Json& value, std::string_view wanted) {
  shape(fmt::format("parameter `{}` is {} `{}`, must be {}", path_of(key), value.type_name(),
                    value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60), wanted));
}

const Fields::Json* Fields::find(std::string_view key) {
  asked_.push_back(key);
  if (json_ == nullptr) return nullptr;
  const auto it = json_->find(key);
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

bool Fields::has(std::string_view key) {
  return find(key) != nullptr;
}

std::string Fields::text(std::string_view key) {
  if (!has(key)) missing(key);
  return text_or(key, {});
}

std::string Fields::text_or(std::string_view key, std::string fallback) {
  const Json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_string()) return value->get<std::string>();
  wrong(key, *value, "text");
  return fallback;
}

bool Fields::flag(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr) return false;
  if (!value->is_boolean()) wrong(key, *value, "true or false");
  return value->is_boolean() && value->get<bool>();
}

std::optional<uint64_t> Fields::number(std::string_view key, uint64_t max) {
  const Json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned() && value->get<uint64_t>() <= max) return value->get<uint64_t>();
  wrong(key, *value, fmt::format("an integer from 0 to {}", max));
  return std::nullopt;
}

const Fields::Json* Fields::object(std::string_view key) {
  const Json* value = find(key);
  if (value == nullptr || value->is_object()) return value;
  wrong(key, *value, "an object");
  return nullptr;
}

const Fields::Json* Fields::array(std::string_view key, size_t max_items) {
  const Json* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    wrong(key, *value, "an array");
    return nullptr;
  }
  if (value->size() > max_items) {
    shape(fmt::format("parameter `{}` has {} items, at most {} are taken", path_of(key), value->size(), max_items));
    return nullptr;
  }
  return value;
}

std::vector<std::string> Fields::texts(std::string_view key) {
  std::vector<std::string> list;
  const Json* items = array(key, 65536);
  if (items == nullptr) return list;
  for (const Json& item : *items) {
    if (!item.is_string()) {
      wrong(key, item, "an array of texts");
      return {};
    }
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::map<std::string, std::string> Fields::text_map(std::string_view key) {
  std::map<std::string, std::string> map;
  const Json* value = object(key);
  if (value == nullptr) return map;
  for (const auto& [name, item] : value->items()) {
    if (!item.is_string()) {
      wrong(key, item, "an object of texts");
      return {};
    }
    map.emplace(name, item.get<std::string>());
  }
  return map;
}

void Fields::finish() {
  if (json_ == nullptr) return;
  for (const auto& [name, value] : json_->items()) {
    if (std::find(asked_.begin(), asked_.end(), name) != asked_.end()) continue;
    std::vector<std::string_view> known = asked_;
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    shape(known.empty()
              ? fmt::format("unknown parameter `{}`; this method takes none", path_of(name).substr(0, 100))
              : fmt::format("unknown parameter `{}`; known: {}", path_of(name).substr(0, 100), fmt::join(known, ", ")));
    return;
  }
}

}  // namespace lb::ctl
