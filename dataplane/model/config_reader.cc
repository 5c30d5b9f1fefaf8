#include "dataplane/model/config_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate.h"

namespace lb::model {
namespace {

// A document that is wrong in every line is told in its first thousand problems.
constexpr size_t kMaxProblems = 1000;

std::string_view kind_name(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return "a single value";
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMap:
      return "keys and values";
  }
  return "?";
}

std::string found(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kScalar) return quote_text(node.text);
  return std::string(kind_name(node));
}

std::string join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

}  // namespace

size_t ConfigReader::add_file(std::string name) {
  files_.push_back(std::move(name));
  return files_.size() - 1;
}

bool ConfigReader::is_full() const {
  return problems_.size() > kMaxProblems;
}

void ConfigReader::add_problem(Place place, std::string path, std::string message) {
  if (is_full()) return;
  tainted_.insert(path);
  tell(place, std::move(path), std::move(message));
}

void ConfigReader::tell(Place place, std::string path, std::string message) {
  if (problems_.size() < kMaxProblems)
    problems_.push_back({place, std::move(path), std::move(message)});
  else if (problems_.size() == kMaxProblems)
    problems_.push_back({{files_.size() - 1, 0, 0}, "", "more problems than are shown: mend these first"});
}

void ConfigReader::refuse(const YamlNode& node, const std::string& path, std::string message) {
  add_problem({files_.size() - 1, node.line, node.column}, path, std::move(message));
}

void ConfigReader::refuse_second(const YamlNode& node, std::string path, std::string message) {
  tell({files_.size() - 1, node.line, node.column}, std::move(path), std::move(message));
}

void ConfigReader::remember(const YamlNode& node, const std::string& path) {
  places_.emplace(path, Place{files_.size() - 1, node.line, node.column});
}

Place ConfigReader::place_of(std::string path) const {
  while (!path.empty()) {
    if (const auto it = places_.find(path); it != places_.end()) return it->second;
    const size_t cut = path.find_last_of(".[");
    path.resize(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

bool ConfigReader::holds(std::string path) const {
  while (path.find('.') != std::string::npos) {
    if (places_.contains(path)) return true;
    path.resize(path.find_last_of(".["));
  }
  return false;
}

std::vector<std::pair<std::string, Place>> ConfigReader::places_of_daemon() const {
  std::vector<std::pair<std::string, Place>> found;
  for (const auto& [path, place] : places_)
    if (path == "daemon" || path.starts_with("daemon.")) found.emplace_back(path, place);
  return found;
}

bool ConfigReader::is_tainted(const std::string& path) const {
  for (std::string p = path; !p.empty();) {
    if (tainted_.contains(p)) return true;
    const size_t cut = p.find_last_of(".[");
    p.resize(cut == std::string::npos ? 0 : cut);
  }
  return false;
}

bool ConfigReader::is_map(const YamlNode& node, const std::string& path, std::string_view what) {
  remember(node, path);
  if (node.kind == YamlNode::Kind::kMap) return true;
  refuse(node, path, fmt::format("must hold {}, not {}", what, found(node)));
  return false;
}

bool ConfigReader::is_list(const YamlNode& node, const std::string& path, std::string_view what) {
  remember(node, path);
  if (node.kind == YamlNode::Kind::kList) return true;
  refuse(node, path, fmt::format("must be a list ({}), not {}", what, found(node)));
  return false;
}

std::vector<ConfigReader::Entry> ConfigReader::named_entries(const YamlNode& map, const std::string& path) {
  std::vector<Entry> out;
  std::unordered_map<std::string_view, const YamlNode*> seen;
  for (size_t i = 0; i + 1 < map.children.size() && !is_full(); i += 2) {
    const YamlNode &key = map.children[i], &value = map.children[i + 1];
    if (key.kind != YamlNode::Kind::kScalar) {
      refuse(key, path + ".?", fmt::format("a key must be a word, not {}", kind_name(key)));
      continue;
    }
    const auto [first, is_new] = seen.emplace(key.text, &key);
    if (!is_new) {
      refuse_second(key, join(path, shown(key.text)),
                    fmt::format("duplicate key {}: it stands in line {}, column {} already; keep one",
                                quote_text(key.text), first->second->line, first->second->column));
      continue;
    }
    out.push_back({key.text, &key, &value, join(path, key.text)});
  }
  return out;
}

std::vector<ConfigReader::Entry> ConfigReader::entries(const YamlNode& map, const std::string& path, Section section) {
  std::vector<Entry> out;
  const auto known = known_keys(section);
  for (Entry& e : named_entries(map, path)) {
    if (is_full()) break;
    if (std::find(known.begin(), known.end(), e.key) == known.end()) {
      refuse(*e.key_node, join(path, shown(e.key)), refuse_key(section, e.key));
    } else if (e.value->kind == YamlNode::Kind::kNull) {
      refuse(*e.key_node, e.path, "has no value: write one, or leave the key out");
    } else {
      out.push_back(std::move(e));
    }
  }
  return out;
}

// A key that was refused with the word to write instead is not told to be missing too.
void ConfigReader::require(const YamlNode& map, const std::vector<Entry>& found_keys, const std::string& path,
                           std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto has = [&](const Entry& e) { return e.key == key; };
    if (std::any_of(found_keys.begin(), found_keys.end(), has)) continue;
    const std::string missing = join(path, std::string(key)), word = fmt::format("`{}`", key);
    const auto told = [&](const PlacedProblem& p) {
      return p.path.starts_with(path) && p.message.find(word) != std::string::npos;
    };
    if (is_full() || is_tainted(missing)) continue;
    if (std::any_of(problems_.begin(), problems_.end(), told))
      tainted_.insert(missing);
    else
      refuse(map, missing, key == "version" ? "is missing: write `version: 1`" : "is missing: it has no default");
  }
}

std::optional<std::string> ConfigReader::text(const YamlNode& node, const std::string& path, std::string_view what) {
  remember(node, path);
  if (node.kind != YamlNode::Kind::kScalar)
    refuse(node, path, fmt::format("must be {}, not {}", what, found(node)));
  else if (node.text.empty())
    refuse(node, path, fmt::format("must be {}, not an empty text", what));
  else
    return node.text;
  return std::nullopt;
}

std::optional<std::string> ConfigReader::text(const Entry& e) {
  return text(*e.value, e.path, "a text");
}

std::optional<uint32_t> ConfigReader::number(const YamlNode& node, const std::string& path, std::string_view what,
                                             uint32_t lowest, uint32_t highest) {
  remember(node, path);
  const std::string& t = node.text;
  const std::string rule = fmt::format("a whole number from {} to {}", lowest, highest);
  const bool digits = !t.empty() && std::all_of(t.begin(), t.end(), [](char c) { return c >= '0' && c <= '9'; });
  uint32_t value = 0;
  if (node.kind != YamlNode::Kind::kScalar) {
    refuse(node, path, fmt::format("{} must be {}, not {}", what, rule, found(node)));
  } else if (digits && !node.plain) {
    refuse(node, path, fmt::format("{} {} is a text: write the number without quotes", what, quote_text(t)));
  } else if (digits && t.size() > 1 && t[0] == '0') {
    refuse(node, path,
           fmt::format("{} {} starts with 0, which some read as octal: leave the 0 out", what, quote_text(t)));
  } else if (!digits) {
    refuse(node, path, fmt::format("{} {} must be {}, written in digits", what, quote_text(t), rule));
  } else if (std::from_chars(t.data(), t.data() + t.size(), value).ec != std::errc{} || value < lowest ||
             value > highest) {
    refuse(node, path, fmt::format("{} {} is out of range: it must be {}", what, quote_text(t), rule));
  } else {
    return value;
  }
  return std::nullopt;
}

std::optional<uint32_t> ConfigReader::number(const Entry& e, uint32_t lowest, uint32_t highest) {
  return number(*e.value, e.path, e.key, lowest, highest);
}

void ConfigReader::read_main(const YamlNode& root) {
  if (root.kind == YamlNode::Kind::kNull) {
    add_problem({files_.size() - 1, 0, 0}, "", "the document is empty: it needs at least `version: 1`");
    return;
  }
  if (root.kind != YamlNode::Kind::kMap) {
    refuse(root, "",
           fmt::format("the document must hold keys ({}), not {}", join_words(known_keys(Section::kTop)), found(root)));
    return;
  }
  const std::vector<Entry> found_keys = entries(root, "", Section::kTop);
  const auto each = [&](std::string_view key, void (ConfigReader::*read)(const Entry&)) {
    for (const Entry& e : found_keys)
      if (e.key == key) (this->*read)(e);
  };
  require(root, found_keys, "", {"version"});
  each("version", &ConfigReader::read_version);
  each("include", &ConfigReader::read_include);
  each("daemon", &ConfigReader::read_daemon);
  each("defaults", &ConfigReader::read_defaults);  // before the services that take them
  each("pools", &ConfigReader::read_pools);
  each("services", &ConfigReader::read_services);
}

void ConfigReader::read_included(const YamlNode& root) {
  if (root.kind == YamlNode::Kind::kNull) return;  // a team without services
  if (root.kind != YamlNode::Kind::kMap) {
    refuse(root, "", fmt::format("an included file must hold pools and services, not {}", found(root)));
    set_pools_incomplete();
    return;
  }
  for (const Entry& e : entries(root, "", Section::kIncluded)) {
    if (e.key == "version") read_version(e);
    if (e.key == "pools") read_pools(e);
    if (e.key == "services") read_services(e);
  }
}

void ConfigReader::read_version(const Entry& e) {
  const auto version = number(*e.value, e.path, e.key, 0, UINT32_MAX);
  if (version && *version != 1)
    refuse(*e.value, e.path, fmt::format("version {} of the document is not known here: this lbd reads 1", *version));
}

void ConfigReader::read_include(const Entry& e) {
  if (!is_list(*e.value, e.path, "[/etc/lbd/lbd.d/*.yaml]")) {
    set_pools_incomplete();
    return;
  }
  for (size_t i = 0; i < e.value->children.size(); ++i) {
    const YamlNode& item = e.value->children[i];
    const std::string path = fmt::format("{}[{}]", e.path, i);
    auto pattern = text(item, path, "a path or a pattern");
    if (pattern && !is_one_line(*pattern)) {
      refuse(item, path, fmt::format("{} is no path on one line of printable text", quote_text(*pattern)));
      pattern.reset();
    }
    if (pattern)
      includes_.push_back({*std::move(pattern), path, {files_.size() - 1, item.line, item.column}});
    else
      set_pools_incomplete();
  }
}

void ConfigReader::read_choosing(const Entry& e, Defaults& into) {
  if (e.key == "forward") into.forward = choice(e, Choice::kForward, parse_forward);
  if (e.key == "schedule") into.schedule = choice(e, Choice::kSchedule, parse_schedule);
  if (e.key == "table-size") into.table_size = read_table_size(e);
  if (e.key == "source-prefix") into.prefix = read_prefix(e);
  if (e.key == "on-no-listener") into.on_no_listener = choice(e, Choice::kNoListener, parse_no_listener);
  if (e.key == "announce") into.announce = choice(e, Choice::kAnnounce, parse_announce);
}

std::optional<uint32_t> ConfigReader::read_table_size(const Entry& e) {
  const auto size = number(e, kMinTableSize, kMaxTableSize);
  if (!size || is_prime(*size)) return size;
  refuse(*e.value, e.path, table_size_rule(*size));
  return std::nullopt;
}

std::optional<std::pair<uint8_t, uint8_t>> ConfigReader::read_prefix(const Entry& e) {
  if (!is_list(*e.value, e.path, "IPv4 and IPv6 bits, such as [32, 64]")) return std::nullopt;
  const auto& items = e.value->children;
  if (items.size() != 2) {
    refuse(*e.value, e.path,
           fmt::format("must be two numbers, IPv4 and IPv6 bits, such as [32, 64], not {} of them", items.size()));
    return std::nullopt;
  }
  const auto four = number(items[0], e.path + "[0]", "IPv4 prefix length", 1, kMaxPrefix4);
  const auto six = number(items[1], e.path + "[1]", "IPv6 prefix length", 1, kMaxPrefix6);
  if (!four || !six) return std::nullopt;
  return std::pair(static_cast<uint8_t>(*four), static_cast<uint8_t>(*six));
}

void ConfigReader::read_defaults(const Entry& section) {
  if (!is_map(*section.value, section.path, "forward, schedule, table-size, source-prefix, on-no-listener, announce"))
    return;
  for (const Entry& e : entries(*section.value, section.path, Section::kDefaults)) read_choosing(e, defaults_);
}

}  // namespace lb::model
