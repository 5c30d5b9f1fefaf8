// Any text as a configuration: no crash, no endless work; what is refused has a sentence and a place inside the text;
// what is taken survives print and parse, and its difference from nothing, applied to nothing, is the same again.
// A line "%%%" ends the main file; what follows is the text of every included file.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "dataplane/model/config_text.h"
#include "dataplane/model/diff.h"
#include "dataplane/model/validate.h"

namespace {

using namespace std::string_view_literals;
using lb::model::Config;
using lb::model::Parsed;
using lb::model::Reader;

void require(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "config_fuzz: %s\n", what);
  std::abort();
}

Reader included(std::string text) {
  return {[](const std::string& pattern) -> lb::net::Result<std::vector<std::string>> {
            return std::vector<std::string>{pattern};
          },
          [text](const std::string&) -> lb::net::Result<std::string> { return text; }};
}

void check_problems(const Parsed& parsed, std::string_view main, std::string_view rest) {
  const auto lines = [](std::string_view text) { return std::count(text.begin(), text.end(), '\n') + 1; };
  const auto most = std::max(lines(main), lines(rest)) + 1;  // the end of the text is one line further
  for (const lb::model::Problem& p : parsed.problems) {
    require(!p.message.empty() && !p.file.empty(), "a problem without words");
    require(p.line >= 0 && p.line <= most && p.column >= 0, "a problem outside the text");
    require(p.to_string().find('\n') == std::string::npos, "a problem of several lines");
  }
}

void check_config(const Config& config, bool has_daemon) {
  require(has_daemon ? validate(config).empty() : validate_services(config).empty(), "taken, but not valid");
  const std::string text = print_config(config);
  const Parsed again = lb::model::parse_config(text, "printed", lb::model::no_includes());
  if (!again.problems.empty()) std::fprintf(stderr, "%s%s\n", text.c_str(), to_error(again.problems).message.c_str());
  require(again.problems.empty() && again.config == config, "printed and read again, it is another one");
  require(print_config(again.config) == text, "printed twice, it differs");
  auto made = lb::model::apply(Config(), lb::model::diff(Config(), config).changes);
  require(made.has_value(), "the changes from nothing are refused");
  made->daemon = config.daemon;
  require(*made == config, "the changes from nothing make another one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(input), size);
  constexpr std::string_view kEnd = "\n%%%\n"sv;
  const size_t cut = all.find(kEnd);
  const std::string_view main = all.substr(0, cut);
  const std::string_view rest = cut == std::string_view::npos ? ""sv : all.substr(cut + kEnd.size());
  const Parsed parsed = lb::model::parse_config(main, "main", included(std::string(rest)));
  check_problems(parsed, main, rest);
  if (parsed.problems.empty()) check_config(parsed.config, parsed.has_daemon);
  return 0;
}
