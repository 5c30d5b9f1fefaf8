#include "ctl/import/includes.h"

#include <fmt/format.h>

#include <filesystem>

#include "ctl/import/importer.h"
#include "dataplane/model/text_rules.h"

namespace lb::importing {
namespace {

constexpr size_t kMaxFiles = 1000;
constexpr int kMaxDepth = 8;

std::string folder_path(const std::string& file, const std::string& pattern) {
  if (pattern.starts_with('/')) return pattern;
  return (std::filesystem::path(file).parent_path() / pattern).lexically_normal().string();
}

}  // namespace

void Includes::miss(const Statement& include, const std::string& why) {
  draft_.leave(include.at, why);
  draft_.miss(include.at, why);
}

net::Status Includes::add_file(const Statement& include, const std::string& path, const std::string& from,
                               std::vector<Statement>& out) {
  const auto text = reader_.read(path);
  if (!text) return miss(include, printable_line(text.error().message)), net::Status();
  bytes_ += text->size();
  if (++files_ > kMaxFiles || bytes_ > kMaxSourceBytes || depth_ >= kMaxDepth)
    return net::Error{
        net::Code::kInvalid,
        fmt::format("{}:{}: includes go on and on: at most {} files, {} deep, of {} bytes are read", include.at.file,
                    include.at.line, kMaxFiles, kMaxDepth, model::grouped(kMaxSourceBytes))};
  auto parsed = parse_(*text, path);
  if (!parsed) return parsed.error();
  ++depth_;
  auto inner = follow(std::move(*parsed), beside_each_ ? path : from);
  --depth_;
  if (!inner) return inner.error();
  for (Statement& s : *inner) out.push_back(std::move(s));
  return {};
}

net::Status Includes::add(const Statement& include, const std::string& file, std::vector<Statement>& out) {
  const std::string pattern(include.word(1));
  if (include.words.size() != 2 || pattern.empty() || !model::is_one_line(pattern))
    return miss(include, "names no file"), net::Status();
  const auto paths = reader_.glob(folder_path(file, pattern));
  if (!paths) return miss(include, printable_line(paths.error().message)), net::Status();
  draft_.take(include.at);
  for (const std::string& path : *paths)
    if (auto added = add_file(include, path, file, out); !added) return added;
  return {};
}

net::Result<std::vector<Statement>> Includes::follow(std::vector<Statement> statements, const std::string& file) {
  std::vector<Statement> out;
  out.reserve(statements.size());
  for (Statement& s : statements) {
    if (s.word(0) == "include" && !s.has_block) {
      if (auto added = add(s, file, out); !added) return added.error();
      continue;
    }
    if (!s.block.empty()) {
      auto inner = follow(std::move(s.block), file);
      if (!inner) return inner;
      s.block = std::move(*inner);
    }
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace lb::importing
