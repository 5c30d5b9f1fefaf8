#include "ctl/cmd_port.h"

#include <fmt/format.h>

#include <ostream>

#include "ctl/cmd_common.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

json texts(const std::vector<Carried>& items) {
  json list = json::array();
  for (const Carried& item : items) list.push_back(item.text);
  return list;
}

// When a moved NIC goes back unless that is confirmed; null: it stays.
json confirm_in(NicHost& host, const NicRecord& record) {
  if (!record.confirm_by_ms) return nullptr;
  const auto now = static_cast<uint64_t>(host.now().count());
  return (std::max(*record.confirm_by_ms, now) - now) / 1000;
}

json nic_json(NicHost& host, const net::PciDevice& device, const NicRecord* moved,
              const std::optional<SshSession>& session) {
  // A moved NIC is reached by its twin.
  const std::string name = moved != nullptr            ? moved->twin()
                           : device.interfaces.empty() ? std::string()
                                                       : device.interfaces.front();
  json nic = {{"pci", device.address},
              {"ids", device.ids()},
              {"driver", device.driver.empty() ? json() : json(device.driver)},
              {"numa_node", device.numa_node ? json(*device.numa_node) : json()},
              {"iommu_group", device.iommu_group ? json(*device.iommu_group) : json()},
              {"interface", nullptr},
              {"addresses", json::array()},
              {"link", nullptr},
              {"default_route", nullptr},
              {"session", session && session->needs(name) ? json(session->peer) : json()},
              {"port", moved != nullptr ? json(moved->port) : json()},
              {"confirm_in_s", moved != nullptr ? confirm_in(host, *moved) : json()}};
  const auto interface = host.interface(name);
  if (name.empty() || !interface) return nic;
  nic["interface"] = name;
  nic["addresses"] = texts(interface->addresses);
  nic["link"] = interface->carrier;
  if (!interface->default_route.empty()) nic["default_route"] = interface->default_route;
  return nic;
}

json nics_json(PortTools& tools, std::ostream& err) {
  const std::vector<NicRecord> moved = tools.records.all().records;
  const auto session = tools.host.session();
  if (!session) err << "lbctl: by which NIC this SSH session goes cannot be told: " << session.error().message << "\n";
  const auto known = session ? *session : std::nullopt;
  json nics = json::array();
  for (const net::PciDevice& device : tools.host.network_devices()) {
    const auto record =
        std::find_if(moved.begin(), moved.end(), [&](const NicRecord& r) { return r.pci == device.address; });
    nics.push_back(nic_json(tools.host, device, record == moved.end() ? nullptr : &*record, known));
  }
  return nics;
}

// Without lbd the host's NICs are the answer: what could become a port.
int list(Session& session, PortTools& tools, bool all) {
  auto answer = session.request("port.list", json::object());
  json result = {{"ports", nullptr}};
  if (const auto* failure = std::get_if<Failure>(&answer)) {
    if (failure->exit != kNoDaemon) return session.fail(*failure);
    session.err() << "lbctl: " << failure->message << "; the host's NICs:\n";
    session.tell_orphans();
    all = true;
  } else {
    result = std::get<json>(std::move(answer));
  }
  if (all) {
    for (const net::Error& unreadable : tools.records.all().unreadable)
      session.err() << "lbctl: " << unreadable.message << "\n";
    result["nics"] = nics_json(tools, session.err());
  }
  session.show(result, view_ports);
  return kDone;
}

}  // namespace

void add_port_commands(CLI::App& app, Session& session, PortTools& tools) {
  CLI::App& noun = add_noun(app, "port", "Ports of lbd, and the NICs that can become one");
  const auto all = std::make_shared<bool>(false);
  add_verb(noun, "list", "Ports with their devices and traffic; without lbd: the host's NICs", session,
           [&session, &tools, all] { return list(session, tools, *all); })
      .add_flag("--all", *all, "The host's NICs too: driver, interface, addresses, IOMMU group, what they carry");
  const auto name = std::make_shared<std::string>();
  CLI::App& show =
      add_verb(noun, "show", "One port with its queues and the workers that poll them", session, [&session, name] {
        return session.ask("port.show", {{"name", *name}}, view_port);
      });
  show.add_option("NAME", *name, "The port")->required();
  add_port_move_commands(noun, session, tools);
}

}  // namespace lb::ctl
