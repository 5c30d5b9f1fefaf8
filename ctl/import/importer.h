// Configurations of other products as lbd's own: text to text, without daemon, network or name service. Each reads what
// has a meaning here and keeps the rest as comments with the reason; the result is a document that parse_config()
// takes.
//
// ERRORS: kInvalid with file and line when the text is not of that product or cannot be told apart (an open brace).
// Never throws. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "ctl/import/draft.h"
#include "dataplane/model/config_text.h"
#include "dataplane/net/result.h"

namespace lb::importing {

inline constexpr size_t kMaxSourceBytes = 4u << 20;  // of all files

// file: as comments name it. reader: for includes.
using Importer = net::Result<Outcome> (*)(std::string_view text, const std::string& file, const Given& given,
                                          const model::Reader& reader);

net::Result<Outcome> import_ipvs(std::string_view text, const std::string& file, const Given& given,
                                 const model::Reader& reader);
net::Result<Outcome> import_keepalived(std::string_view text, const std::string& file, const Given& given,
                                       const model::Reader& reader);
net::Result<Outcome> import_nginx(std::string_view text, const std::string& file, const Given& given,
                                  const model::Reader& reader);
net::Result<Outcome> import_haproxy(std::string_view text, const std::string& file, const Given& given,
                                    const model::Reader& reader);

struct Format {
  std::string_view name, help;
  Importer import;
};
// By the words of `lbctl config import`.
const Format* find_format(std::string_view name) noexcept;
std::string format_names();  // "ipvs, keepalived, nginx, haproxy"

// Of any format: bounded, and judged by parse_config() before it is handed out.
net::Result<Outcome> import_text(const Format& format, std::string_view text, const std::string& file,
                                 const Given& given, const model::Reader& reader);

}  // namespace lb::importing
