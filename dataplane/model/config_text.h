// YAML text <-> Config. The only place that knows the document's grammar.
//
// Reading is complete: every problem of the document is found in one pass and told with file, line and column, the
// value, the rule and, for unknown keys, the nearest known one or the translation of a word of another product.
// Duplicate keys are errors (yaml-cpp takes the last one silently). Keys of later versions are refused by name: "not in
// this version". Writing is canonical (sorted names, defaults left out where they equal the built-in ones), and reads
// back as the same Config. Pure but for include: files are read through the Reader given.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/model/config.h"
#include "dataplane/net/result.h"

namespace lb::model {

struct Problem {
  std::string file;  // as the operator named it
  int line = 0;      // from 1; 0: the whole file
  int column = 0;    // from 1
  std::string path;  // services.web.listen[1]; empty: the whole file
  std::string message;
  std::string to_string() const;  // "lbd.yaml:12:5: services.web.listen[1]: ..."
};

struct Parsed {
  Config config;                     // meaningful only when problems is empty
  std::vector<Problem> problems;     // in document order, file by file
  std::vector<std::string> files;    // every file that was read
  std::vector<std::string> folders;  // where patterns of `include` look; they may be empty, or not there
  bool has_daemon = false;  // the document says something about the daemon; else config.daemon is the built-in one
  std::map<std::string, Problem> daemon_places;  // by path: problems of the section `daemon` without a message

  // path: daemon.dpdk.ports[0].mtu. Stands where that does; for what is left out, at the nearest thing around it.
  Problem problem_of_daemon(std::string path, std::string message) const;
};

// How include: finds files. glob: paths matching a pattern, sorted. read: whole text of one file.
struct Reader {
  std::function<net::Result<std::vector<std::string>>(const std::string& pattern)> glob;
  std::function<net::Result<std::string>(const std::string& path)> read;
};
Reader file_reader();  // the file system; relative include patterns are relative to the including file's folder
Reader no_includes();  // refuses include: with a sentence (text that came over the socket)

// Text -> Config, parsed and validated (validate.h): with validate() when there is a `daemon` section, else with
// validate_services(), so that a document of services alone is complete. Never throws.
Parsed parse_config(std::string_view text, const std::string& file, const Reader& reader);

// A document that is laid over `base`: its pools and services replace those of the same name, all others stay. Held to
// every rule as the whole that comes of it, so that it may name pools of `base`; it has no `daemon`.
struct Merge {
  Parsed whole;     // its config is base with the document over it
  Config document;  // its pools and services alone
};
Merge parse_merge(std::string_view text, const std::string& file, const Reader& reader, const Config& base);

// Reads the file itself too.
Parsed load_config(const std::string& path, const Reader& reader);

// All problems as one text, a line each, kInvalid; REQUIRES: not empty.
net::Error to_error(const std::vector<Problem>& problems);

// The whole document; `daemon` is left out when it is the built-in one.
// parse_config(print_config(c)).config == c for every valid, canonical c.
std::string print_config(const Config& config);
// Only version, pools and services.
std::string print_services(const Config& config);

}  // namespace lb::model
