#include "dataplane/model/config_text.h"

#include <fmt/format.h>
#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <tuple>
#include <utility>

#include "dataplane/model/config_reader.h"
#include "dataplane/model/text_rules.h"
#include "dataplane/model/validate.h"
#include "dataplane/model/yaml_tree.h"

namespace lb::model {
namespace {

// More files than this is a pattern that meant something else (a team each is hundreds).
constexpr size_t kMaxIncluded = 4096;

bool has_wildcard(std::string_view pattern) {
  return pattern.find_first_of("*?[") != std::string_view::npos;
}

// Relative patterns are meant from the folder of the file that names them.
std::string beside(const std::string& file, const std::string& pattern) {
  if (pattern.starts_with('/')) return pattern;
  const auto folder = std::filesystem::path(file).parent_path();
  return (folder / pattern).lexically_normal().string();
}

YamlTree read_tree(ConfigReader& out, size_t file, std::string_view text) {
  YamlTree tree = read_yaml(text);
  for (YamlError& e : tree.errors) out.add_problem({file, e.line, e.column}, "", std::move(e.message));
  if (!tree.errors.empty()) out.set_pools_incomplete();
  return tree;
}

// The folder of a pattern as far as it is one: of /etc/lbd/*/a.yaml it is /etc/lbd.
std::string folder_of_pattern(const std::string& pattern) {
  const size_t slash = pattern.rfind('/', pattern.find_first_of("*?["));
  return slash == std::string::npos ? "." : pattern.substr(0, std::max<size_t>(slash, 1));
}

class Including {
 public:
  Including(ConfigReader& out, const Reader& reader, const std::string& main_file)
      : out_(out), reader_(reader), main_file_(main_file) {
    seen_.insert(std::filesystem::path(main_file).lexically_normal().string());
  }

  void follow(const ConfigReader::Include& include) {
    const std::string pattern = beside(main_file_, include.pattern);
    const auto paths = reader_.glob(pattern);
    folders_.push_back(folder_of_pattern(pattern));
    if (!paths) return refuse(include, paths.error().message);
    if (paths->empty() && !has_wildcard(pattern))
      return refuse(include, fmt::format("no such file: {}", quote_text(pattern)));
    for (const std::string& path : *paths) read(include, path);
  }

  std::vector<std::string> take_folders() { return std::move(folders_); }

 private:
  void refuse(const ConfigReader::Include& include, std::string message) {
    out_.add_problem(include.place, include.path, std::move(message));
    out_.set_pools_incomplete();
  }

  void read(const ConfigReader::Include& include, const std::string& path) {
    const std::string plain = std::filesystem::path(path).lexically_normal().string();
    if (plain == std::filesystem::path(main_file_).lexically_normal().string())
      return refuse(include, fmt::format("{} includes itself: name other files, or a folder of their own",
                                         quote_text(main_file_)));
    if (!seen_.insert(plain).second) return;  // two patterns match it: read once
    if (seen_.size() > kMaxIncluded + 1) {
      if (seen_.size() == kMaxIncluded + 2)
        refuse(include, fmt::format("more than {} files are included", grouped(kMaxIncluded)));
      return;
    }
    const auto text = reader_.read(path);
    if (!text) return refuse(include, text.error().message);
    const size_t file = out_.add_file(path);
    const YamlTree tree = read_tree(out_, file, *text);
    if (tree.errors.empty()) out_.read_included(tree.root);
  }

  ConfigReader& out_;
  const Reader& reader_;
  const std::string& main_file_;
  std::set<std::string> seen_;
  std::vector<std::string> folders_;
};

void add_violations(ConfigReader& reader, std::vector<Violation> violations) {
  if (reader.is_full()) return;
  for (Violation& v : violations) {
    if (reader.is_tainted(v.path)) continue;
    if (v.missing_pool && reader.may_be_pool(*v.missing_pool)) continue;
    const Place place = reader.place_of(v.path);
    reader.add_problem(place, std::move(v.path), std::move(v.message));
  }
}

// The problems and facts of what was read; its config is taken.
Parsed finish(ConfigReader& reader) {
  Parsed parsed;
  auto& found = reader.problems();
  const auto order = [](const PlacedProblem& p) { return std::tuple(p.place.file, p.place.line, p.place.column); };
  std::stable_sort(found.begin(), found.end(),
                   [&](const PlacedProblem& a, const PlacedProblem& b) { return order(a) < order(b); });
  for (PlacedProblem& p : found)
    parsed.problems.push_back(
        {reader.files()[p.place.file], p.place.line, p.place.column, std::move(p.path), std::move(p.message)});
  canonicalize(reader.config());
  parsed.config = std::move(reader.config());
  parsed.files = reader.files();
  parsed.has_daemon = reader.has_daemon();
  for (auto& [path, place] : reader.places_of_daemon())
    parsed.daemon_places[path] = {reader.files()[place.file], place.line, place.column, path, ""};
  return parsed;
}

// RETURNS: the folders that patterns of `include` look into.
std::vector<std::string> read_all(ConfigReader& out, std::string_view text, const std::string& file,
                                  const Reader& reader) {
  const YamlTree tree = read_tree(out, out.add_file(file), text);
  if (!tree.errors.empty()) return {};
  // Services of included files take `defaults`, so the main file comes first.
  out.read_main(tree.root);
  Including including(out, reader, file);
  for (const ConfigReader::Include& include : std::vector(out.includes())) including.follow(include);
  return including.take_folders();
}

net::Error cannot_read(const std::string& path, int error) {
  const net::Code code = error == ENOENT   ? net::Code::kNotFound
                         : error == EACCES ? net::Code::kPermission
                                           : net::Code::kIo;
  return {code, fmt::format("cannot read {}: {}", quote_text(path), std::strerror(error))};
}

net::Result<std::string> read_file(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return cannot_read(path, errno);
  if (S_ISDIR(info.st_mode)) return cannot_read(path, EISDIR);
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return cannot_read(path, errno != 0 ? errno : EIO);
  // One byte more than is read at all: a pipe or device without end is told as too big, not read for ever.
  const size_t size = S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) : kMaxDocumentBytes;
  std::string text(std::min(size, kMaxDocumentBytes) + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return cannot_read(path, errno != 0 ? errno : EIO);
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

thread_local int glob_error = 0;

// A folder that is not there holds nothing; one that cannot be listed is an error.
int on_glob_error(const char*, int error) {
  if (error == ENOENT || error == ENOTDIR) return 0;
  glob_error = error;
  return 1;
}

net::Result<std::vector<std::string>> glob_files(const std::string& pattern) {
  if (!has_wildcard(pattern)) return std::vector<std::string>{pattern};
  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&found, ::globfree);
  glob_error = ENOMEM;
  const int rc = ::glob(pattern.c_str(), 0, on_glob_error, &found);  // sorted
  if (rc == GLOB_NOMATCH) return std::vector<std::string>{};
  if (rc != 0)
    return net::Error{net::Code::kIo,
                      fmt::format("cannot list {}: {}", quote_text(pattern), std::strerror(glob_error))};
  return std::vector<std::string>(found.gl_pathv, found.gl_pathv + found.gl_pathc);
}

}  // namespace

std::string Problem::to_string() const {
  std::string out = file;
  if (line > 0) out += fmt::format(":{}:{}", line, column);
  if (!path.empty()) out += ": " + path;
  return out + ": " + message;
}

Problem Parsed::problem_of_daemon(std::string path, std::string message) const {
  Problem problem{files.empty() ? "" : files.front(), 0, 0, "", ""};
  for (std::string around = path; !around.empty();) {
    if (const auto it = daemon_places.find(around); it != daemon_places.end()) {
      problem = it->second;
      break;
    }
    const size_t cut = around.find_last_of(".[");
    around.resize(cut == std::string::npos ? 0 : cut);
  }
  problem.path = std::move(path);
  problem.message = std::move(message);
  return problem;
}

Reader file_reader() {
  return {glob_files, read_file};
}

Reader no_includes() {
  const auto refuse = [](const std::string& what) {
    return net::Error{net::Code::kUnsupported,
                      fmt::format("{} is not followed here: this text did not come from a file; send the whole "
                                  "configuration as one document",
                                  quote_text(what))};
  };
  return {[refuse](const std::string& p) -> net::Result<std::vector<std::string>> { return refuse(p); },
          [refuse](const std::string& p) -> net::Result<std::string> { return refuse(p); }};
}

Parsed parse_config(std::string_view text, const std::string& file, const Reader& reader) {
  ConfigReader out;
  std::vector<std::string> folders = read_all(out, text, file, reader);
  const Config& config = out.config();
  add_violations(out, out.has_daemon() ? validate(config) : validate_services(config));
  Parsed parsed = finish(out);
  parsed.folders = std::move(folders);
  return parsed;
}

Merge parse_merge(std::string_view text, const std::string& file, const Reader& reader, const Config& base) {
  ConfigReader out;
  read_all(out, text, file, reader);
  if (out.has_daemon())
    out.add_problem(out.place_of("daemon"), "daemon",
                    "only pools and services are merged: leave `daemon` out, or apply the whole with `config apply`");
  Config whole = base;
  for (const auto& [name, pool] : out.config().pools) whole.pools[name] = pool;
  for (const auto& [name, service] : out.config().services) whole.services[name] = service;
  std::vector<Violation> violations = validate_services(whole);
  for (Violation& v : violations)
    if (!out.holds(v.path)) v.message += "; that runs already and is not in this document";
  add_violations(out, std::move(violations));
  Merge merge{finish(out), {}};
  canonicalize(whole);
  merge.document = std::exchange(merge.whole.config, std::move(whole));
  return merge;
}

Parsed load_config(const std::string& path, const Reader& reader) {
  const auto text = reader.read(path);
  if (text) return parse_config(*text, path, reader);
  Parsed parsed;
  parsed.problems.push_back({path, 0, 0, "", text.error().message});
  return parsed;
}

net::Error to_error(const std::vector<Problem>& problems) {
  std::string out;
  for (const Problem& p : problems) {
    if (!out.empty()) out += '\n';
    out += p.to_string();
  }
  return {net::Code::kInvalid, std::move(out)};
}

}  // namespace lb::model
