// A draft as a document: what a key comes from, and what was left, in comments above it.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/import/finish.h"
#include "dataplane/model/config_print.h"

namespace lb::importing {
namespace {

std::string place_text(const Source& at) {
  return fmt::format("{}:{}: {}", printable_line(at.file), at.line, at.text);
}

void print_remark(const Remark& remark, std::string_view indent, std::string& out) {
  out += fmt::format("{}# {}: {}\n", indent, place_text(remark.at), printable_line(remark.reason));
}

void print_draft_pool(const DraftPool& pool, std::string& out) {
  out += fmt::format("  # {}\n", place_text(pool.at));
  for (const Remark& r : pool.remarks) print_remark(r, "  ", out);
  out += fmt::format("  {}:\n", model::print_scalar(pool.name));
  out += pool.servers.empty() ? "    backends: []\n" : "    backends:\n";
  for (const DraftServer& s : pool.servers) {
    for (const Remark& r : s.remarks) print_remark(r, "      ", out);
    model::print_backend(s.backend, out);
  }
}

// Every line of it behind "# ".
void print_as_comment(const std::string& text, std::string& out) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    out += fmt::format("  # {}\n", text.substr(at, end - at));
    at = end + 1;
  }
}

void print_draft_service(const DraftService& s, bool live, std::string& out) {
  out += fmt::format("  # {}\n", place_text(s.at));
  for (const Remark& r : s.remarks) print_remark(r, "  ", out);
  std::string text;
  model::print_service(s.service, text);
  if (live) {
    out += text;
    return;
  }
  std::string listen;
  for (const std::string& l : s.unplaced) listen += fmt::format("      - \"{}\"\n", l);
  constexpr std::string_view kListen = "    listen:\n";
  text.insert(text.find(kListen) + kListen.size(), listen);
  print_as_comment(text, out);
}

}  // namespace

std::string print_draft(const std::string& product, const std::deque<DraftPool>& pools,
                        const std::deque<DraftService>& services, const std::vector<bool>& live,
                        const std::vector<Remark>& left) {
  std::string out = fmt::format(
      "# Read from a configuration of {}. Comments name its lines: where a key comes from, or what was left and why.\n"
      "version: 1\n",
      product);
  if (!pools.empty()) out += "pools:\n";
  for (const DraftPool& pool : pools) print_draft_pool(pool, out);
  const bool any = std::find(live.begin(), live.end(), true) != live.end();
  if (!services.empty()) out += any ? "services:\n" : "# services:\n";
  for (size_t i = 0; i < services.size(); ++i) print_draft_service(services[i], live[i], out);
  if (!left.empty()) out += "# Left:\n";
  for (const Remark& r : left) print_remark(r, "", out);
  return out;
}

}  // namespace lb::importing
