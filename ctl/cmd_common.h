// What the commands share on their way from words to parameters.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ctl/command.h"
#include "dataplane/net/result.h"

namespace lb::ctl {

// A noun: its own help, and one of its verbs is required.
CLI::App& add_noun(CLI::App& app, const std::string& name, const std::string& help);
// A verb; action runs after the whole line was parsed.
CLI::App& add_verb(CLI::App& noun, const std::string& name, const std::string& help, Session& session,
                   std::function<int()> action);
// An option that may be given several times, with one value each.
CLI::Option& add_repeated(CLI::App& verb, const std::string& names, std::vector<std::string>& values,
                          const std::string& help);

// {"rack=r1", "row=3"} -> {"rack": "r1", "row": "3"}
net::Result<nlohmann::json> read_labels(const std::vector<std::string>& words);
// "fe/fe11" -> {fe, fe11}
net::Result<std::pair<std::string, std::string>> read_backend_name(const std::string& word);
// "fe11=10.0.0.11,weight=50,label.rack=r1" -> {name, address, weight, labels}
net::Result<nlohmann::json> read_backend_spec(const std::string& word);

// "90", "90s", "5m", "1h", "2d" -> seconds. option: for the sentence.
net::Result<uint64_t> read_duration(std::string_view option, const std::string& word);

// A file, or standard input for "-".
net::Result<std::string> read_input(Session& session, const std::string& path);
// Its lines without comments (#) and without empty ones; line numbers from 1.
struct InputLine {
  size_t number;
  std::string text;
};
std::vector<InputLine> input_lines(const std::string& text);

}  // namespace lb::ctl
