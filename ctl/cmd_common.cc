#include "ctl/cmd_common.h"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <istream>
#include <iterator>
#include <sstream>

#include "dataplane/model/text_rules.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

net::Error invalid(std::string message) {
  return {net::Code::kInvalid, std::move(message)};
}

// "key=value"; nothing when there is no "=" or nothing before it.
std::optional<std::pair<std::string, std::string>> split_pair(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return std::pair{word.substr(0, equals), word.substr(equals + 1)};
}

}  // namespace

CLI::App& add_noun(CLI::App& app, const std::string& name, const std::string& help) {
  CLI::App& noun = *app.add_subcommand(name, help);
  noun.require_subcommand(1);
  return noun;
}

CLI::App& add_verb(CLI::App& noun, const std::string& name, const std::string& help, Session& session,
                   std::function<int()> action) {
  CLI::App& verb = *noun.add_subcommand(name, help);
  verb.callback([&session, action = std::move(action)] { session.action = action; });
  return verb;
}

CLI::Option& add_repeated(CLI::App& verb, const std::string& names, std::vector<std::string>& values,
                          const std::string& help) {
  return *verb.add_option(names, values, help)->allow_extra_args(false);
}

net::Result<json> read_labels(const std::vector<std::string>& words) {
  json labels = json::object();
  for (const std::string& word : words) {
    const auto pair = split_pair(word);
    if (!pair) return invalid(fmt::format("label \"{}\": write KEY=VALUE, as in rack=r12", word));
    if (labels.contains(pair->first)) return invalid(fmt::format("label {} is given twice", pair->first));
    labels[pair->first] = pair->second;
  }
  return labels;
}

net::Result<std::pair<std::string, std::string>> read_backend_name(const std::string& word) {
  const size_t slash = word.find('/');
  if (slash == 0 || slash == std::string::npos || slash + 1 == word.size() ||
      word.find('/', slash + 1) != std::string::npos) {
    return invalid(fmt::format("backend \"{}\": write POOL/NAME, as in fe/fe11", word));
  }
  return std::pair{word.substr(0, slash), word.substr(slash + 1)};
}

net::Result<json> read_backend_spec(const std::string& word) {
  json backend;
  std::vector<std::string> labels;
  std::istringstream parts(word);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto pair = split_pair(part);
    if (!pair) {
      return invalid(fmt::format(
          "backend \"{}\": \"{}\" is not KEY=VALUE; write NAME=ADDRESS[,weight=N][,label.KEY=VALUE]", word, part));
    }
    const auto& [key, value] = *pair;
    if (backend.empty()) {
      backend = {{"name", key}, {"address", value}};
    } else if (key == "weight") {
      uint32_t weight = 0;
      const auto end = std::from_chars(value.data(), value.data() + value.size(), weight);
      if (end.ec != std::errc() || end.ptr != value.data() + value.size()) {
        return invalid(fmt::format("backend \"{}\": weight \"{}\" is not a number from 0 to 1000", word, value));
      }
      backend["weight"] = weight;
    } else if (key.starts_with("label.")) {
      labels.push_back(key.substr(6) + "=" + value);
    } else {
      return invalid(fmt::format("backend \"{}\": {} is not known; there are weight=N and label.KEY=VALUE", word, key));
    }
  }
  if (backend.empty()) return invalid("a backend is empty; write NAME=ADDRESS[,weight=N][,label.KEY=VALUE]");
  if (labels.empty()) return backend;
  auto read = read_labels(labels);
  if (!read) return read.error();
  backend["labels"] = std::move(*read);
  return backend;
}

net::Result<uint64_t> read_duration(std::string_view option, const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of("0123456789") == std::string::npos;
  if (const auto seconds = model::parse_duration(plain ? word + "s" : word)) return *seconds;
  return invalid(fmt::format("{} \"{}\": write a time such as 30s, 5m, 1h or 2d", option, word));
}

net::Result<std::string> read_input(Session& session, const std::string& path) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(session.in()), {});
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {
    // An empty file sets failbit on text, too.
    if (file && file.peek() == std::ifstream::traits_type::eof() && errno == 0) return std::string();
    return net::Error{net::Code::kIo, fmt::format("cannot read {}: {}", path, strerror(errno))};
  }
  return text.str();
}

std::vector<InputLine> input_lines(const std::string& text) {
  std::vector<InputLine> lines;
  std::istringstream stream(text);
  size_t number = 0;
  for (std::string line; std::getline(stream, line);) {
    number++;
    line = line.substr(0, line.find('#'));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) continue;
    lines.push_back({number, line.substr(first, line.find_last_not_of(" \t\r") - first + 1)});
  }
  return lines;
}

}  // namespace lb::ctl
