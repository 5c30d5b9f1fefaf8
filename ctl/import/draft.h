// What an importer made of another product's configuration, before it is lbd's: pools and services with what could not
// be carried over beside them. Every statement of the source is taken, or left with a reason that names its line; what
// an operator has to mend is missed, which is a sentence on the command line too.
//
// finish() makes a document of it that parse_config() accepts, whatever came in: what breaks a rule becomes a comment.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ctl/import/statement.h"
#include "dataplane/model/config.h"

namespace lb::importing {

// What the source does not say and an operator may.
struct Given {
  std::vector<net::Address> addresses;        // that listeners of "every address" get
  std::map<std::string, net::Address> hosts;  // addresses of host names
};

struct Remark {
  Source at;
  std::string reason;
};

struct DraftServer {
  Source at;
  model::Backend backend;        // its name as wished; weight in the source's measure, where 1 is usual
  std::optional<uint16_t> port;  // that it listens on
  std::vector<Remark> remarks;
};

struct DraftPool {
  Source at;
  std::string name;   // as wished
  bool named = true;  // by the source; else made by us, and nobody misses it when it is written otherwise
  std::vector<DraftServer> servers;
  std::map<net::Address, size_t> by_address;  // indices of servers
  std::vector<Remark> remarks;
};

struct DraftService {
  Source at;
  model::Service service;  // its name as wished; pool is left empty
  bool named = true;
  std::string pool;                   // key of Draft::pool()
  std::vector<std::string> unplaced;  // listeners without an address: "ADDRESS:80/tcp"
  std::vector<Remark> remarks;
};

struct Outcome {
  std::string text;                  // the document
  std::vector<std::string> missing;  // sentences: what an operator has to mend, with file and line
  size_t services = 0, pools = 0, backends = 0, left = 0;  // left: comments with a reason
  std::set<std::pair<std::string, int>> taken;             // file and line of what was carried over
};

class Draft {
 public:
  Draft(std::string product, Given given) : product_(std::move(product)), given_(std::move(given)) {}

  // One pool of that key; made when it is not there. References stay valid.
  DraftPool& pool(const std::string& key, const Source& at);
  DraftPool* find_pool(const std::string& key);
  DraftService& add_service(std::string name, const Source& at);

  void take(const Source& at) { taken_.emplace(at.file, at.line); }
  void leave(const Source& at, std::string reason) { left_.push_back({at, std::move(reason)}); }
  // With every statement inside. into: the comments of something that stays; else those at the end.
  void leave_all(const Statement& statement, std::string_view reason, std::vector<Remark>* into = nullptr);
  // A sentence that the command ends with; the comment is left by the caller.
  void miss(const Source& at, std::string_view sentence) { missing_.push_back({at, std::string(sentence)}); }

  // One listener: to `host`, or to what Given has for every address. last: of a range. 0: any port.
  void listen(DraftService& service, const Source& at, const std::string& host, unsigned first, unsigned last,
              net::IpProto proto);
  // One server at host, an address or a name; nullptr when it has no address, which was told.
  DraftServer* add_server(DraftPool& pool, const Source& at, std::string name, const std::string& host,
                          std::optional<uint16_t> port);

  Outcome finish();

 private:
  friend class Finish;
  std::optional<net::Address> address_of(const std::string& host) const;

  std::string product_;
  Given given_;
  std::deque<DraftPool> pools_;
  std::map<std::string, size_t> pool_index_;
  std::deque<DraftService> services_;
  std::vector<Remark> left_;
  std::vector<Remark> missing_;
  std::set<std::pair<std::string, int>> taken_;
};

}  // namespace lb::importing
