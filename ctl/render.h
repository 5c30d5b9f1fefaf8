// One result, two readers: people (text) and scripts (JSON). Commands hand over the daemon's result object and, for
// people, the view that knows how to tell it; which of the two is printed is decided once, by --json.
#pragma once

#include <iosfwd>
#include <memory>
#include <nlohmann/json_fwd.hpp>

namespace lb::ctl {

class Text;  // render_text.h: tables, human numbers, colours

// Tells a result to people. Missing members are shown as "-", never an error: an older daemon may not know them.
using TextView = void (*)(const nlohmann::json& result, Text& text);

class Renderer {
 public:
  virtual ~Renderer() = default;
  virtual void show(const nlohmann::json& result, TextView view) = 0;
};

std::unique_ptr<Renderer> make_text_renderer(std::ostream& out, bool colour);
// The result object, indented by two, raw base units, with "changed": false where the result does not tell.
std::unique_ptr<Renderer> make_json_renderer(std::ostream& out);

// The views, by what they show.
void view_summary(const nlohmann::json& result, Text& text);
void view_services(const nlohmann::json& result, Text& text);
void view_service(const nlohmann::json& result, Text& text);
void view_node(const nlohmann::json& result, Text& text);
void view_ports(const nlohmann::json& result, Text& text);
void view_engine(const nlohmann::json& result, Text& text);
void view_engine_detach(const nlohmann::json& result, Text& text);
void view_port(const nlohmann::json& result, Text& text);
void view_port_bind(const nlohmann::json& result, Text& text);
void view_port_confirm(const nlohmann::json& result, Text& text);
void view_port_unbind(const nlohmann::json& result, Text& text);
void view_pools(const nlohmann::json& result, Text& text);
void view_pool(const nlohmann::json& result, Text& text);
void view_backends(const nlohmann::json& result, Text& text);
void view_backend(const nlohmann::json& result, Text& text);
void view_change(const nlohmann::json& result, Text& text);
void view_config(const nlohmann::json& result, Text& text);
void view_history(const nlohmann::json& result, Text& text);
void view_blame(const nlohmann::json& result, Text& text);
void view_compare(const nlohmann::json& result, Text& text);
void view_config_check(const nlohmann::json& result, Text& text);
void view_explain(const nlohmann::json& result, Text& text);
void view_digest(const nlohmann::json& result, Text& text);
void view_flow_count(const nlohmann::json& result, Text& text);
void view_flow_flush(const nlohmann::json& result, Text& text);
void view_waited(const nlohmann::json& result, Text& text);
void view_stats(const nlohmann::json& result, Text& text);
void view_stats_services(const nlohmann::json& result, Text& text);
void view_stats_backends(const nlohmann::json& result, Text& text);
void view_stats_workers(const nlohmann::json& result, Text& text);
void view_stats_flows(const nlohmann::json& result, Text& text);
void view_stats_ports(const nlohmann::json& result, Text& text);
void view_stats_drops(const nlohmann::json& result, Text& text);

}  // namespace lb::ctl
