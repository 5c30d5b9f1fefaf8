// lbctl table digest
#include "ctl/cmd_common.h"

namespace lb::ctl {

using nlohmann::json;

void add_table_commands(CLI::App& app, Session& session) {
  CLI::App& noun = add_noun(app, "table", "The tables that choose backends");
  const auto service = std::make_shared<std::string>();
  CLI::App& digest =
      add_verb(noun, "digest",
               "Print digests: equal ones on two nodes are equal tables; live differs when backends do not serve",
               session, [&session, service] {
                 return session.ask("table.digest", service->empty() ? json::object() : json{{"service", *service}},
                                    view_digest);
               });
  digest.add_option("SERVICE", *service, "Only this one");
}

}  // namespace lb::ctl
