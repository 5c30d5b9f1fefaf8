// A draft as a document: what a key comes from, and what was left, in comments above it.
#include <fmt/format.h>

#include <algorithm>

#include "ctl/import/finish.h"
#include "ctl/import/reasons.h"
#include "dataplane/model/config_print.h"

namespace lb::importing {
namespace {

bool same_place(const Source& a, const Source& b) {
  return a.line == b.line && a.file == b.file && a.text == b.text;
}

// `# haproxy.cfg:25: server web1 10.0.0.11:80 check -- REASON`, or several reasons below it; none: where a key is from.
void print_place(const Source& at, const std::vector<std::string_view>& reasons, std::string_view indent,
                 std::string& out) {
  const std::string_view name = std::string_view(at.file).substr(at.file.rfind('/') + 1);
  out += fmt::format("{}# {}:{}: {}", indent, printable_line(name), at.line, at.text);
  if (reasons.size() == 1) out += fmt::format(" -- {}", printable_line(reasons.front()));
  out += '\n';
  if (reasons.size() > 1)
    for (const std::string_view reason : reasons) out += fmt::format("{}#   -- {}\n", indent, printable_line(reason));
}

// Remarks about one statement stand together, in the order of their first ones.
void print_remarks(const Source* head, const std::vector<Remark>& remarks, std::string_view indent, std::string& out) {
  struct Group {
    const Source* at;
    std::vector<std::string_view> reasons;
  };
  std::vector<Group> groups;
  std::map<std::pair<std::string_view, int>, std::vector<size_t>> index;  // statements of one line are few
  const auto group_of = [&](const Source& at) -> Group& {
    auto& there = index[{at.file, at.line}];
    for (const size_t i : there)
      if (same_place(*groups[i].at, at)) return groups[i];
    there.push_back(groups.size());
    return groups.emplace_back(Group{&at, {}});
  };
  if (head != nullptr) group_of(*head);
  for (const Remark& r : remarks) group_of(r.at).reasons.push_back(r.reason);
  for (const Group& g : groups) print_place(*g.at, g.reasons, indent, out);
}

void print_draft_pool(const DraftPool& pool, std::string& out) {
  print_remarks(&pool.at, pool.remarks, "  ", out);
  out += fmt::format("  {}:\n", model::print_scalar(pool.name));
  out += pool.servers.empty() ? "    backends: []\n" : "    backends:\n";
  for (const DraftServer& s : pool.servers) {
    print_remarks(nullptr, s.remarks, "      ", out);
    model::print_backend(s.backend, out);
  }
}

// So that it is right without its "# ".
void print_as_comment(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out += fmt::format("  # {}\n", text.substr(2, end - 2));
    text.remove_prefix(end + 1);
  }
}

void print_draft_service(const DraftService& s, bool live, std::string& out) {
  print_remarks(&s.at, s.remarks, "  ", out);
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

bool says_check(const std::vector<Remark>& remarks) {
  return std::any_of(remarks.begin(), remarks.end(),
                     [](const Remark& r) { return r.reason.find(kNoChecks) != std::string::npos; });
}

bool has_checks(const std::deque<DraftPool>& pools, const std::deque<DraftService>& services) {
  const auto in_server = [](const DraftServer& s) { return says_check(s.remarks); };
  for (const DraftPool& pool : pools)
    if (says_check(pool.remarks) || std::any_of(pool.servers.begin(), pool.servers.end(), in_server)) return true;
  return std::any_of(services.begin(), services.end(), [](const DraftService& s) { return says_check(s.remarks); });
}

}  // namespace

std::string print_draft(const std::string& product, const std::deque<DraftPool>& pools,
                        const std::deque<DraftService>& services, const std::vector<bool>& live,
                        const std::vector<Remark>& left) {
  std::string out = fmt::format(
      "# Read from a configuration of {}. Comments name its lines: where a key comes from, and what was left, with the "
      "reason.\n",
      product);
  if (has_checks(pools, services))
    out +=
        "# Checks are not in this version: every server with weight gets flows, whether it answers or not; `lbctl "
        "backend drain` takes one out.\n";
  out += "version: 1\n";
  if (!pools.empty()) out += "pools:\n";
  for (const DraftPool& pool : pools) print_draft_pool(pool, out);
  const bool any = std::find(live.begin(), live.end(), true) != live.end();
  if (!services.empty()) out += any ? "services:\n" : "# services:\n";
  for (size_t i = 0; i < services.size(); ++i) print_draft_service(services[i], live[i], out);
  if (!left.empty()) out += "# Left:\n";
  print_remarks(nullptr, left, "", out);
  return out;
}

}  // namespace lb::importing
