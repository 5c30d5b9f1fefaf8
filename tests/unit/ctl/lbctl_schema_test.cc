// The schema against the tables of keys and against what the parser refuses.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "ctl/config_schema.h"
#include "dataplane/model/config_text.h"
#include "dataplane/model/keys.h"

namespace lb::ctl {
namespace {

using model::Section;
using nlohmann::json;

json schema(SchemaOf what = SchemaOf::kMainFile) {
  return json::parse(config_schema(what));
}

struct Part {
  Section section;
  json schema;
};
std::vector<Part> parts() {
  const json main = schema(), &defs = main["$defs"];
  return {{Section::kTop, main},
          {Section::kIncluded, schema(SchemaOf::kIncludedFile)},
          {Section::kDaemon, defs["daemon"]},
          {Section::kDpdk, defs["dpdk"]},
          {Section::kPort, defs["port"]},
          {Section::kXdp, defs["xdp"]},
          {Section::kInterface, defs["interface"]},
          {Section::kDefaults, defs["defaults"]},
          {Section::kPool, defs["pool"]},
          {Section::kBackend, defs["backend"]},
          {Section::kService, defs["service"]}};
}

TEST(Schema, KnowsTheKeysThatTheParserKnowsAndNoOthers) {
  for (const Part& part : parts()) {
    const auto known = model::known_keys(part.section);
    std::set<std::string> keys;
    for (const auto& [key, value] : part.schema["properties"].items()) {
      keys.insert(key);
      EXPECT_FALSE(value.value("description", "").empty() && part.section != Section::kInterface) << key;
    }
    EXPECT_EQ(keys, std::set<std::string>(known.begin(), known.end())) << section_name(part.section);
    EXPECT_EQ(part.schema["additionalProperties"], false);
  }
}

TEST(Schema, EveryReferenceLeadsSomewhere) {
  const json main = schema();
  std::function<void(const json&)> walk = [&](const json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const std::string ref = node["$ref"];
      EXPECT_TRUE(main.contains(json::json_pointer(ref.substr(1)))) << ref;
    }
    if (node.is_structured())
      for (const auto& inner : node) walk(inner);
  };
  walk(main);
}

TEST(Schema, WordsAreThoseOfTheParser) {
  const json main = schema();
  for (const auto& [choice, section, key] : {std::tuple(model::Choice::kForward, "service", "forward"),
                                             {model::Choice::kSchedule, "defaults", "schedule"},
                                             {model::Choice::kHugePages, "dpdk", "huge-pages"},
                                             {model::Choice::kXdpMode, "interface", "mode"}}) {
    const auto words = model::known_words(choice);
    EXPECT_EQ(main["$defs"][section]["properties"][key]["enum"],
              json(std::vector<std::string>(words.begin(), words.end())));
  }
}

// Documents with every key of a section that must be there, by section.
const std::map<Section, std::pair<std::string, std::map<std::string, std::string>>> kComplete = {
    {Section::kPort,
     {"version: 1\ndaemon:\n  dpdk: {{workers: [1], ports: [{{{}}}]}}\n", {{"name", "wan"}, {"device", "eth1"}}}},
    {Section::kInterface,
     {"version: 1\ndaemon:\n  engine: xdp\n  xdp: {{interfaces: [{{{}}}]}}\n", {{"name", "eth0"}}}},
    {Section::kBackend,
     {"version: 1\npools: {{fe: {{backends: [{{{}}}]}}}}\n", {{"name", "b1"}, {"address", "10.0.0.1"}}}},
    {Section::kService,
     {"version: 1\npools: {{fe: {{}}}}\nservices: {{web: {{{}}}}}\n",
      {{"listen", "[192.0.2.1:80/tcp]"}, {"pool", "fe"}}}},
};

std::string document(const std::string& frame, const std::map<std::string, std::string>& keys,
                     const std::string& without) {
  std::string inside;
  for (const auto& [key, value] : keys)
    if (key != without) inside += (inside.empty() ? "" : ", ") + key + ": " + value;
  return fmt::format(fmt::runtime(frame), inside);
}

TEST(Schema, RequiresWhatTheParserRequires) {
  for (const Part& part : parts()) {
    std::set<std::string> required;
    for (const std::string key : part.schema.value("required", json::array())) required.insert(key);
    const auto it = kComplete.find(part.section);
    if (it == kComplete.end()) {
      EXPECT_EQ(required, part.section == Section::kTop ? std::set<std::string>{"version"} : std::set<std::string>{});
      continue;
    }
    const auto& [frame, keys] = it->second;
    std::set<std::string> needed;
    for (const auto& [key, value] : keys) needed.insert(key);
    EXPECT_EQ(required, needed) << section_name(part.section);
    const auto problems = [](const std::string& text) {
      const model::Parsed parsed = model::parse_config(text, "t", model::no_includes());
      return parsed.problems.empty() ? "" : model::to_error(parsed.problems).message;
    };
    EXPECT_EQ(problems(document(frame, keys, "")), "") << document(frame, keys, "");
    for (const auto& [key, value] : keys)
      EXPECT_NE(problems(document(frame, keys, key)).find(key + ": is missing"), std::string::npos) << key;
  }
}

}  // namespace
}  // namespace lb::ctl
