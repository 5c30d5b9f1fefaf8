// YAML tree -> Config, one file after another into the same Config. Grammar only: rules about values that hold for
// every Config are in validate.h. Remembers where each value stood, so that a violation can be shown in the document.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/model/config_text.h"
#include "dataplane/model/keys.h"
#include "dataplane/model/yaml_tree.h"

namespace lb::model {

struct Place {
  size_t file = 0;           // index into ConfigReader::files()
  int line = 0, column = 0;  // from 1; 0: the whole file
};

struct PlacedProblem {
  Place place;
  std::string path, message;
};

class ConfigReader {
 public:
  struct Include {
    std::string pattern, path;  // path: include[0]
    Place place;
  };

  // The file that the next tree belongs to. RETURNS its index.
  size_t add_file(std::string name);
  void read_main(const YamlNode& root);
  void read_included(const YamlNode& root);  // pools and services only
  void add_problem(Place place, std::string path, std::string message);
  // A file or section could not be read, so "no such pool" may be a consequence and is not told.
  void set_pools_incomplete() { pools_incomplete_ = true; }
  bool may_be_pool(const std::string& name) const { return pools_incomplete_ || refused_pools_.contains(name); }

  // No more problems are kept, so reading on is of no use.
  bool is_full() const;

  // Where the value at that path stands; for a value left out, the nearest thing around it.
  Place place_of(std::string path) const;
  // Whether the pool or service of that path was read.
  bool holds(std::string path) const;
  std::vector<std::pair<std::string, Place>> places_of_daemon() const;  // of all values of that section, by path
  // At or in something that already has a problem: a violation there would be its consequence. (What could not be read
  // stands in the Config as a value that no rule accepts, so that no other rule is judged by it.)
  bool is_tainted(const std::string& path) const;

  const std::vector<Include>& includes() const { return includes_; }
  const std::vector<std::string>& files() const { return files_; }
  std::vector<PlacedProblem>& problems() { return problems_; }
  bool has_daemon() const { return has_daemon_; }
  Config& config() { return config_; }

 private:
  void tell(Place place, std::string path, std::string message);
  struct Entry {  // one known key of a map, told once
    std::string_view key;
    const YamlNode* key_node;
    const YamlNode* value;  // not null
    std::string path;
  };
  struct Defaults {
    std::optional<Forward> forward;
    std::optional<Schedule> schedule;
    std::optional<uint32_t> table_size;
    std::optional<std::pair<uint8_t, uint8_t>> prefix;
    std::optional<NoListener> on_no_listener;
    std::optional<Announce> announce;
  };

  void refuse(const YamlNode& node, const std::string& path, std::string message);
  void refuse_second(const YamlNode& node, std::string path, std::string message);  // the first one is kept, and judged
  void remember(const YamlNode& node, const std::string& path);
  bool is_map(const YamlNode& node, const std::string& path, std::string_view what);
  bool is_list(const YamlNode& node, const std::string& path, std::string_view what);
  std::vector<Entry> named_entries(const YamlNode& map, const std::string& path);  // keys are the operator's names
  std::vector<Entry> entries(const YamlNode& map, const std::string& path, Section section);

  std::optional<std::string> text(const Entry& e);
  std::optional<std::string> text(const YamlNode& node, const std::string& path, std::string_view what);
  std::optional<uint32_t> number(const YamlNode& node, const std::string& path, std::string_view what, uint32_t lowest,
                                 uint32_t highest);
  std::optional<uint32_t> number(const Entry& e, uint32_t lowest, uint32_t highest);
  template <class E>
  std::optional<E> choice(const Entry& e, Choice choice, std::optional<E> (*parse)(std::string_view) noexcept);

  void read_version(const Entry& e);
  void read_include(const Entry& e);
  void read_daemon(const Entry& section);
  void read_dpdk(const Entry& section);
  void read_workers(const Entry& e);
  void read_ports(const Entry& e);
  void read_port(const YamlNode& node, const std::string& path);
  void read_xdp(const Entry& section);
  void read_interface(const YamlNode& node, const std::string& path);
  uint32_t read_orphan_after(const Entry& e);
  uint32_t read_shutdown_delay(const Entry& e);
  void read_access(const Entry& section);
  std::vector<std::string> read_names(const Entry& e);
  void read_defaults(const Entry& section);
  void read_pools(const Entry& section);
  void read_backends(const Entry& e, Pool& pool);
  Backend read_backend(const YamlNode& node, const std::string& path);
  std::optional<Address> read_address(const Entry& e);
  void read_labels(const Entry& e, Backend& backend);
  void read_services(const Entry& section);
  void read_service(const Entry& section, Service& service);
  void read_listen(const Entry& e, Service& service);
  void fill_in(Service& service, const Defaults& own, const std::string& path);
  void read_choosing(const Entry& e, Defaults& into);  // what `defaults` may say
  std::optional<uint32_t> read_table_size(const Entry& e);
  std::optional<std::pair<uint8_t, uint8_t>> read_prefix(const Entry& e);
  bool takes_name(const Entry& e, std::string_view kind);
  void require(const YamlNode& map, const std::vector<Entry>& found, const std::string& path,
               std::initializer_list<std::string_view> keys);

  Config config_;
  Defaults defaults_;
  std::vector<std::string> files_;
  std::vector<PlacedProblem> problems_;
  std::vector<Include> includes_;
  std::unordered_map<std::string, Place> places_;
  std::unordered_set<std::string> tainted_;
  std::set<std::string> refused_pools_;
  bool pools_incomplete_ = false, has_daemon_ = false;
};

template <class E>
std::optional<E> ConfigReader::choice(const Entry& e, Choice choice,
                                      std::optional<E> (*parse)(std::string_view) noexcept) {
  const auto word = text(e);
  if (!word) return std::nullopt;
  const std::optional<E> value = parse(*word);
  if (!value) refuse(*e.value, e.path, refuse_word(choice, *word));
  return value;
}

}  // namespace lb::model
