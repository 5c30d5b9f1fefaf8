#include "ctl/import/importer.h"

#include <fmt/format.h>

#include "dataplane/model/text_rules.h"

namespace lb::importing {
namespace {

constexpr Format kFormats[] = {
    {"ipvs", "what `ipvsadm-save -n` prints", import_ipvs},
    {"keepalived", "keepalived.conf", import_keepalived},
    {"nginx", "nginx.conf: stream and http", import_nginx},
    {"haproxy", "haproxy.cfg", import_haproxy},
};

}  // namespace

const Format* find_format(std::string_view name) noexcept {
  for (const Format& f : kFormats)
    if (f.name == name) return &f;
  return nullptr;
}

std::string format_names() {
  std::string out;
  for (const Format& f : kFormats) out += (out.empty() ? "" : ", ") + std::string(f.name);
  return out;
}

net::Result<Outcome> import_text(const Format& format, std::string_view text, const std::string& file,
                                 const Given& given, const model::Reader& reader) {
  if (text.size() > kMaxSourceBytes)
    return net::Error{net::Code::kInvalid, fmt::format("{} has {} bytes; at most {} are read: import it in parts", file,
                                                       model::grouped(text.size()), model::grouped(kMaxSourceBytes))};
  auto outcome = format.import(text, file, given, reader);
  if (!outcome) return outcome;
  const model::Parsed parsed = model::parse_config(outcome->text, "the result", model::no_includes());
  if (parsed.problems.empty()) return outcome;
  return net::Error{net::Code::kInvalid, fmt::format("{} cannot be imported as a whole: {}: import it in parts", file,
                                                     parsed.problems.front().to_string())};
}

}  // namespace lb::importing
