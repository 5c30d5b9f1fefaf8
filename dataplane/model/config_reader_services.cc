// Pools and services: the part of the document that included files may hold too.
#include <fmt/format.h>

#include <utility>

#include "dataplane/model/config_reader.h"
#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate.h"

namespace lb::model {
namespace {

// The parsers' sentences repeat what they got: what is longer, or of several lines, is refused before.
bool may_be_endpoint(std::string_view text) {
  return text.size() <= 100 && is_one_line(text);
}

}  // namespace

// A pool or service gets its name once, over all files.
bool ConfigReader::takes_name(const Entry& e, std::string_view kind) {
  if (!is_valid_name(e.key)) {
    refuse(*e.key_node, fmt::format("{}s.{}", kind, shown(e.key)),
           fmt::format("{} name {} must be 1 to 63 of a-z 0-9 . _ - and start with a letter or digit", kind,
                       quote_text(e.key)));
    return false;
  }
  if (const auto first = places_.find(e.path); first != places_.end()) {
    const Place at = first->second;
    refuse_second(*e.key_node, e.path,
                  fmt::format("a {} of that name stands in {}:{}:{} already: rename one", kind, files_[at.file],
                              at.line, at.column));
    return false;
  }
  remember(*e.key_node, e.path);
  if (e.value->kind != YamlNode::Kind::kNull) return true;
  refuse(*e.key_node, e.path, fmt::format("{} has no value: write its keys under it, or leave it out", e.key));
  return true;
}

void ConfigReader::read_pools(const Entry& section) {
  if (!is_map(*section.value, section.path, "pools by name")) return set_pools_incomplete();
  for (const Entry& e : named_entries(*section.value, section.path)) {
    if (is_full()) return;
    if (!takes_name(e, "pool")) {
      refused_pools_.insert(std::string(e.key));
      continue;
    }
    Pool& pool = config_.pools[std::string(e.key)];
    pool.name = e.key;
    if (e.value->kind == YamlNode::Kind::kNull || !is_map(*e.value, e.path, "backends")) continue;
    for (const Entry& inner : entries(*e.value, e.path, Section::kPool))
      if (inner.key == "backends") read_backends(inner, pool);
  }
}

void ConfigReader::read_backends(const Entry& e, Pool& pool) {
  if (!is_list(*e.value, e.path, "backends, such as [{name: fe11, address: 10.0.0.11}]")) return;
  pool.backends.reserve(e.value->children.size());
  for (size_t i = 0; i < e.value->children.size() && !is_full(); ++i)
    pool.backends.push_back(read_backend(e.value->children[i], fmt::format("{}[{}]", e.path, i)));
}

Backend ConfigReader::read_backend(const YamlNode& node, const std::string& path) {
  Backend backend;
  if (!is_map(node, path, "name, address, weight and labels")) return backend;
  const auto found_keys = entries(node, path, Section::kBackend);
  for (const Entry& e : found_keys) {
    if (e.key == "name") backend.name = text(e).value_or("");
    if (e.key == "address") backend.address = read_address(e).value_or(Address());
    if (e.key == "weight") backend.weight = number(e, 0, kMaxWeight).value_or(kMaxWeight + 1);
    if (e.key == "labels") read_labels(e, backend);
  }
  require(node, found_keys, path, {"name", "address"});
  return backend;
}

std::optional<Address> ConfigReader::read_address(const Entry& e) {
  const auto word = text(e);
  if (!word) return std::nullopt;
  if (!may_be_endpoint(*word)) {
    refuse(*e.value, e.path, fmt::format("{} is not an IP address", quote_text(*word)));
    return std::nullopt;
  }
  auto address = net::Address::parse(*word);
  if (address) return *address;
  std::string message = address.error().message;
  if (const auto endpoint = net::Endpoint::parse(*word))
    message = fmt::format("{} has a port; dsr and ipip keep the client's: write {}", quote_text(*word),
                          endpoint->address.to_string());
  refuse(*e.value, e.path, std::move(message));
  return std::nullopt;
}

void ConfigReader::read_labels(const Entry& section, Backend& backend) {
  if (!is_map(*section.value, section.path, "labels, such as {rack: r12}")) return;
  for (const Entry& e : named_entries(*section.value, section.path)) {
    if (!is_valid_name(e.key)) {
      refuse(*e.key_node, fmt::format("{}.{}", section.path, shown(e.key)),
             fmt::format("label name {} must be 1 to 63 of a-z 0-9 . _ - and start with a letter or digit",
                         quote_text(e.key)));
    } else if (e.value->kind == YamlNode::Kind::kNull) {
      refuse(*e.key_node, e.path, "has no value: write one, or leave the label out");
    } else if (auto value = text(e)) {
      backend.labels.emplace(e.key, *std::move(value));
    }
  }
}

void ConfigReader::read_services(const Entry& section) {
  if (!is_map(*section.value, section.path, "services by name")) return;
  for (const Entry& e : named_entries(*section.value, section.path)) {
    if (is_full()) return;
    if (!takes_name(e, "service")) continue;
    Service& service = config_.services[std::string(e.key)];
    service.name = e.key;
    read_service(e, service);
  }
}

void ConfigReader::read_service(const Entry& section, Service& service) {
  Defaults own;
  std::vector<Entry> found_keys;
  if (section.value->kind != YamlNode::Kind::kNull && is_map(*section.value, section.path, "listen and pool"))
    found_keys = entries(*section.value, section.path, Section::kService);
  for (const Entry& e : found_keys) {
    if (e.key == "listen") read_listen(e, service);
    if (e.key == "pool") service.pool = text(e).value_or("");
    read_choosing(e, own);
  }
  require(*section.value, found_keys, section.path, {"listen", "pool"});
  fill_in(service, own, section.path);
}

void ConfigReader::read_listen(const Entry& e, Service& service) {
  if (!is_list(*e.value, e.path, "listeners, such as [\"192.0.2.10:443/tcp\"]")) return;
  for (size_t i = 0; i < e.value->children.size() && !is_full(); ++i) {
    const YamlNode& item = e.value->children[i];
    const std::string path = fmt::format("{}[{}]", e.path, i);
    Listener& listener = service.listen.emplace_back();
    const auto word = text(item, path, "a listener such as \"192.0.2.10:443/tcp\"");
    if (!word) continue;
    if (!may_be_endpoint(*word)) {
      refuse(item, path, fmt::format("{} is not a listener: write 192.0.2.10:443/tcp", quote_text(*word)));
    } else if (const auto parsed = net::Listener::parse(*word)) {
      listener = *parsed;
    } else {
      refuse(item, path, parsed.error().message);
    }
  }
}

// What the service says, else what `defaults` says, else what is built in.
void ConfigReader::fill_in(Service& service, const Defaults& own, const std::string& path) {
  if (const auto at = places_.find("defaults.table-size"); at != places_.end() && !own.table_size)
    places_.emplace(path + ".table-size", Place(at->second));
  service.forward = own.forward.value_or(defaults_.forward.value_or(service.forward));
  service.schedule = own.schedule.value_or(defaults_.schedule.value_or(service.schedule));
  service.table_size = own.table_size.value_or(defaults_.table_size.value_or(service.table_size));
  service.on_no_listener = own.on_no_listener.value_or(defaults_.on_no_listener.value_or(service.on_no_listener));
  service.announce = own.announce.value_or(defaults_.announce.value_or(service.announce));
  const auto built_in = std::pair(service.prefix4, service.prefix6);
  std::tie(service.prefix4, service.prefix6) = own.prefix.value_or(defaults_.prefix.value_or(built_in));
}

}  // namespace lb::model
