// Renderings against tests/golden/lbctl: VIEW.CASE.json is a result, VIEW.CASE.txt what people see of it, and the JSON
// file is itself what --json prints. LBCTL_GOLDEN=write rewrites the texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "ctl/render.h"
#include "ctl/render_text.h"

namespace lb::ctl {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, TextView> kViews = {
    {"summary", view_summary},
    {"services", view_services},
    {"node", view_node},
    {"service", view_service},
    {"ports", view_ports},
    {"port", view_port},
    {"engine", view_engine},
    {"engine_detach", view_engine_detach},
    {"port_bind", view_port_bind},
    {"port_confirm", view_port_confirm},
    {"port_unbind", view_port_unbind},
    {"pools", view_pools},
    {"pool", view_pool},
    {"backends", view_backends},
    {"backend", view_backend},
    {"change", view_change},
    {"config", view_config},
    {"config_check", view_config_check},
    {"history", view_history},
    {"blame", view_blame},
    {"compare", view_compare},
    {"explain", view_explain},
    {"digest", view_digest},
    {"flow_count", view_flow_count},
    {"flow_flush", view_flow_flush},
    {"waited", view_waited},
    {"stats", view_stats},
    {"stats_flows", view_stats_flows},
    {"stats_services", view_stats_services},
    {"stats_backends", view_stats_backends},
    {"stats_workers", view_stats_workers},
    {"stats_ports", view_stats_ports},
    {"stats_drops", view_stats_drops},
};

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<fs::path> cases() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(LB_SOURCE_ROOT "/tests/golden/lbctl")) {
    if (entry.path().extension() == ".json") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Golden : public testing::TestWithParam<fs::path> {};

TEST_P(Golden, TextIsAsRecorded) {
  const std::string stem = GetParam().stem().string();
  const auto view = kViews.find(stem.substr(0, stem.find('.')));
  ASSERT_NE(view, kViews.end()) << stem << " names no view";
  std::ostringstream out;
  make_text_renderer(out, false)->show(nlohmann::json::parse(read(GetParam())), view->second);
  const fs::path recorded = fs::path(GetParam()).replace_extension(".txt");
  if (const char* mode = std::getenv("LBCTL_GOLDEN"); mode != nullptr && std::string(mode) == "write") {
    std::ofstream(recorded) << out.str();
  }
  EXPECT_EQ(out.str(), read(recorded));
}

TEST_P(Golden, JsonIsTheResult) {
  const std::string text = read(GetParam());
  std::ostringstream out;
  make_json_renderer(out)->show(nlohmann::json::parse(text), nullptr);
  EXPECT_EQ(out.str(), text);
}

TEST_P(Golden, LinesHaveNoTrailingSpaceAndColourChangesOnlyColour) {
  const std::string stem = GetParam().stem().string();
  const auto view = kViews.at(stem.substr(0, stem.find('.')));
  const auto result = nlohmann::json::parse(read(GetParam()));
  std::ostringstream plain, coloured;
  make_text_renderer(plain, false)->show(result, view);
  make_text_renderer(coloured, true)->show(result, view);
  EXPECT_EQ(plain.str().find(" \n"), std::string::npos);
  EXPECT_EQ(plain.str().find('\x1b'), std::string::npos);
  std::string stripped;
  const std::string text = coloured.str();
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '\x1b')
      i = text.find('m', i);
    else
      stripped += text[i];
  }
  EXPECT_EQ(stripped, plain.str());
}

std::string name_of(const testing::TestParamInfo<fs::path>& info) {
  std::string name = info.param.stem().string();
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Lbctl, Golden, testing::ValuesIn(cases()), name_of);

TEST(Golden, EveryViewHasACase) {
  std::map<std::string, int> seen;
  for (const fs::path& path : cases()) seen[path.stem().string().substr(0, path.stem().string().find('.'))]++;
  for (const auto& [name, view] : kViews) EXPECT_GE(seen[name], 2) << name;
}

TEST(Render, JsonTellsChangedEvenWhereTheDaemonDoesNot) {
  std::ostringstream out;
  make_json_renderer(out)->show({{"pools", nlohmann::json::array()}}, nullptr);
  EXPECT_EQ(nlohmann::json::parse(out.str()).at("changed"), false);
}

TEST(Render, TextOfADaemonReachesTheTerminalWithoutControlCharacters) {
  std::ostringstream out;
  make_text_renderer(out, true)->show({{"services", {{{"name", "a\x1b[2Jb"}, {"packets", 1}}}}}, view_stats_services);
  EXPECT_EQ(out.str().find("\x1b[2J"), std::string::npos);
  EXPECT_NE(out.str().find("a?[2Jb"), std::string::npos);
}

TEST(Render, NumbersForPeopleKeepThreeDigits) {
  EXPECT_EQ(human(0), "0");
  EXPECT_EQ(human(9999), "9999");
  EXPECT_EQ(human(10000), "10.0k");
  EXPECT_EQ(human(18431), "18.4k");
  EXPECT_EQ(human(999949), "999.9k");
  EXPECT_EQ(human(999950), "1.00M");
  EXPECT_EQ(human(9994999), "9.99M");
  EXPECT_EQ(human(9996000), "10.0M");
  EXPECT_EQ(human(1000000000), "1.00G");
  EXPECT_EQ(human(UINT64_MAX), "18.4E");
}

TEST(Render, TimesForPeopleHaveTwoUnits) {
  EXPECT_EQ(duration(0), "0 s");
  EXPECT_EQ(duration(59), "59 s");
  EXPECT_EQ(duration(60), "1 min 0 s");
  EXPECT_EQ(duration(3600), "1 h 0 min");
  EXPECT_EQ(duration(273845), "3 d 4 h");
}

}  // namespace
}  // namespace lb::ctl
