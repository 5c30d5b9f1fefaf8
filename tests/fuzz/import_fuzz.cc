// Any text as another product's configuration, the first byte says which: no crash, no endless work; what comes out is
// a configuration of ours, or a sentence. Every included file is the text itself.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "ctl/import/importer.h"
#include "dataplane/model/config_text.h"

namespace {

void require(bool fine, const char* what) {
  if (fine) return;
  std::fprintf(stderr, "import_fuzz: %s\n", what);
  std::abort();
}

constexpr std::string_view kNames[] = {"ipvs", "keepalived", "nginx", "haproxy"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(input) + 1, size - 1);
  const auto* format = lb::importing::find_format(kNames[input[0] % 4]);
  const lb::model::Reader reader{
      [](const std::string& p) -> lb::net::Result<std::vector<std::string>> { return std::vector<std::string>{p}; },
      [&](const std::string&) -> lb::net::Result<std::string> { return text; }};
  const auto outcome = lb::importing::import_text(*format, text, "f", {}, reader);
  if (!outcome) {
    require(!outcome.error().message.empty(), "a refusal without words");
    return 0;
  }
  const auto parsed = lb::model::parse_config(outcome->text, "out", lb::model::no_includes());
  require(parsed.problems.empty(), "what came out is no configuration");
  require(parsed.config.services.size() == outcome->services, "services are counted wrong");
  return 0;
}
