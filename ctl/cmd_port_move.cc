// `lbctl port bind|confirm|unbind`: what an operator says, the checks, the move, the answer.
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "ctl/cmd_common.h"
#include "ctl/cmd_port.h"
#include "ctl/nic_move.h"
#include "ctl/nic_trial.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

using nlohmann::json;

struct Words {
  std::string device, name, trial;
  Forced forced;
};
using SharedWords = std::shared_ptr<Words>;

// A move is not left half done because a terminal went away, which is what a move may cause.
class SignalsHeld {
 public:
  SignalsHeld() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGPIPE}) sigaddset(&held, signal);
    sigprocmask(SIG_BLOCK, &held, &before_);
  }
  ~SignalsHeld() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_;
};

// What the configuration calls the port of that device, else its interface's name.
std::string name_of(const PortTools& tools, const NicFacts& nic) {
  const model::Parsed parsed = model::load_config(tools.config, model::file_reader());
  if (parsed.problems.empty()) {
    for (const model::Port& port : parsed.config.daemon.ports)
      if (net::parse_pci_address(port.device) == nic.device.address) return port.name;
  }
  return nic.interface ? nic.interface->name : std::string();
}

json carried_json(const std::vector<Carried>& items) {
  json list = json::array();
  for (const Carried& item : items) list.push_back(item.text);
  return list;
}

// With the interface's MTU, as far as a port may have it.
std::string config_line(const NicRecord& record) {
  const uint32_t most = std::min<uint32_t>(record.mtu, model::kMaxMtu);
  const std::string mtu = most < model::kMinMtu ? "" : fmt::format(", mtu: {}", most);
  return fmt::format("{{name: {}, device: \"{}\"{}}}", record.port, record.pci, mtu);
}

json to_json(const NicRecord& record, bool changed, bool dry_run, const std::vector<std::string>& steps) {
  return {{"changed", changed},
          {"dry_run", dry_run},
          {"name", record.port},
          {"pci", record.pci},
          {"driver", record.driver.empty() ? json() : json(record.driver)},
          {"interface", record.interface.empty() ? json() : json(record.interface)},
          {"twin", record.twin()},
          {"addresses", carried_json(record.addresses)},
          {"routes", carried_json(record.routes)},
          {"steps", steps},
          {"notes", json::array()},
          {"config", config_line(record)},
          {"confirm_within_s", nullptr}};
}

// Programs of an lbd that died would lose it, too, and the flows that they carry.
net::Status check_orphans(const Session& session, const std::string& interface) {
  const json orphans = session.without_daemon ? session.without_daemon() : json();
  if (!orphans.is_object()) return {};
  for (const json& p : orphans.at("programs")) {
    if (p.value("interface", "") == interface)
      return net::Error{
          net::Code::kConflict,
          fmt::format("the XDP program of an lbd that died still forwards on {}: start lbd again, or take "
                      "it off with `lbctl engine detach --force`",
                      interface)};
  }
  return {};
}

// A vfio-pci card has no interface in the kernel, which is what engine xdp works on.
std::vector<std::string> engine_notes(const PortTools& tools) {
  const model::Parsed parsed = model::load_config(tools.config, model::file_reader());
  if (!parsed.problems.empty() || parsed.config.daemon.engine != "xdp") return {};
  return {
      fmt::format("{} has engine xdp, which cannot use this card any more: change daemon.engine to dpdk, and take "
                  "its interface out of daemon.xdp.interfaces",
                  tools.config)};
}

// An lbd that has the interface now would lose it under its feet.
net::Status check_daemon(Session& session, const NicFacts& nic) {
  if (!nic.interface) return {};
  const auto answer = session.request("port.list", json::object());
  const auto* result = std::get_if<json>(&answer);
  if (result == nullptr) return check_orphans(session, nic.interface->name);
  if (!result->contains("ports")) return {};
  for (const json& port : result->at("ports")) {
    if (port.value("ifname", "") == nic.interface->name)
      return net::Error{net::Code::kConflict,
                        fmt::format("{} is the port {} of the lbd that runs: stop that first (systemctl stop lbd)",
                                    nic.interface->name, port.value("name", ""))};
  }
  return {};
}

int show_bound(Session& session, const NicRecord& record, std::vector<std::string> notes,
               std::optional<uint64_t> trial) {
  json result = to_json(record, true, false, {});
  result["notes"] = std::move(notes);
  if (trial) result["confirm_within_s"] = *trial;
  session.show(result, view_port_bind);
  return kDone;
}

net::Status bind_now(PortTools& tools, NicRecord& record, std::optional<uint64_t> trial) {
  if (trial) {
    record.confirm_by_ms = static_cast<uint64_t>(tools.host.now().count()) + *trial * 1000;
    // The one who undoes it is there before there is anything to undo.
    if (auto saved = tools.records.save(record); !saved) return saved;
    if (auto started = start_trial(tools.records, record.pci); !started) {
      const net::Error error = started.error();
      if (auto removed = tools.records.remove(record.pci); !removed) return removed;
      return error;
    }
  }
  return NicMove(tools.host, tools.records).bind(record);
}

// From before the first look until the last step, so that two moves do not decide by the same picture. Whom nothing is
// changed for, by a dry run or for want of rights, needs none.
net::Result<UniqueFd> lock_moves(const Session& session, PortTools& tools) {
  if (session.options.dry_run || !tools.host.is_root()) return UniqueFd();
  return tools.records.lock();
}

// RETURNS: the exit code when the NIC needs no move, or cannot have one.
std::optional<int> there_already(Session& session, PortTools& tools, const NicFacts& nic, const std::string& name) {
  const auto record = tools.records.find(nic.device.address);
  if (!record) return session.fail(record.error());
  const std::string& pci = nic.device.address;
  if (*record && !(*record)->complete)
    return session.fail(net::Error{
        net::Code::kConflict,
        fmt::format("a move of {} {}: `lbctl port unbind {}` undoes it", pci,
                    session.options.dry_run ? "is under way, or was left half done" : "was left half done", pci)});
  if (*record && nic.device.driver != net::kVfioDriver)
    return session.fail(
        net::Error{net::Code::kConflict,
                   fmt::format("{} was moved and then taken from vfio-pci by other means: `lbctl port unbind {}` "
                               "gives its interface what it had",
                               pci, pci)});
  if (*record && !name.empty() && (*record)->port != name)
    return session.fail(net::Error{
        net::Code::kConflict, fmt::format("{} was moved for the port {} already: `lbctl port unbind {}` first", pci,
                                          (*record)->port, (*record)->port)});
  if (!*record && nic.device.driver != net::kVfioDriver) return std::nullopt;
  NicRecord shown = *record ? **record : NicMove::record_of(nic, name.empty() ? name_of(tools, nic) : name);
  json result = to_json(shown, false, session.options.dry_run, {});
  if (!*record) {
    result["notes"] = {
        "lbctl did not move it, so what its interface had is not known; lbd makes the twin at its start"};
    result["driver"] = nullptr;
    if (shown.port.empty()) result["config"] = fmt::format("{{name: NAME, device: \"{}\"}}", pci);
  }
  session.show(result, view_port_bind);
  return kDone;
}

// A NIC that lbd drives beside the kernel's driver stays where it is.
int show_shared(Session& session, const NicFacts& nic, const std::string& name) {
  NicRecord record = NicMove::record_of(nic, name.empty() ? "NAME" : name);
  json result = to_json(record, false, session.options.dry_run, {});
  result["twin"] = nullptr;
  result["notes"] = {
      "lbd drives it beside the kernel's driver, which keeps the interface and all it has; rules of the "
      "NIC give lbd what it owns"};
  session.show(result, view_port_bind);
  return kDone;
}

int bind(Session& session, PortTools& tools, const Words& words) {
  std::optional<uint64_t> trial;
  if (!words.trial.empty()) {
    const auto seconds = read_duration("--try", words.trial);
    if (!seconds) return session.usage(seconds.error().message);
    if (*seconds == 0)
      return session.usage("--try 0: give a time in which `lbctl port confirm` can follow, as in 120s");
    trial = *seconds;
  }
  const auto lock = lock_moves(session, tools);
  if (!lock) return session.fail(lock.error());
  const auto nic = find_nic(tools.host, words.device);
  if (!nic) return session.fail(nic.error());
  if (const auto exit = there_already(session, tools, *nic, words.name)) return *exit;
  const std::string name = words.name.empty() ? name_of(tools, *nic) : words.name;
  if (nic->device.is_bifurcated()) return show_shared(session, *nic, name);
  if (auto checked = check_bind(tools.host, *nic, name, words.forced); !checked) return session.fail(checked.error());
  if (auto checked = check_daemon(session, *nic); !checked) return session.fail(checked.error());
  NicRecord record = NicMove::record_of(*nic, name);
  auto notes = notes_of(tools.host, *nic);
  for (std::string& note : engine_notes(tools)) notes.push_back(std::move(note));
  if (session.options.dry_run) {
    json result = to_json(record, true, true, texts_of_needed(steps_to_bind(tools.host, record)));
    result["notes"] = notes;
    if (trial) result["confirm_within_s"] = *trial;
    session.show(result, view_port_bind);
    return kDone;
  }
  net::Status moved;
  {
    const SignalsHeld held;
    moved = bind_now(tools, record, trial);
  }
  return moved ? show_bound(session, record, notes, trial) : session.fail(moved.error());
}

int confirm(Session& session, PortTools& tools, const Words& words) {
  const bool dry_run = session.options.dry_run;
  const auto confirmed = confirm_trial(tools.records, words.device, dry_run ? model::Run::kDry : model::Run::kReal);
  if (!confirmed) return session.fail(confirmed.error());
  session.show({{"changed", confirmed->waited},
                {"dry_run", dry_run},
                {"name", confirmed->record.port},
                {"pci", confirmed->record.pci}},
               view_port_confirm);
  return kDone;
}

// No record, so nothing to give back.
int unbind_unknown(Session& session, PortTools& tools, const std::string& word, const net::Error& why) {
  const auto nic = find_nic(tools.host, word);
  if (!nic) return session.fail(nic.error().code == net::Code::kNotFound ? why : nic.error());
  const std::string& pci = nic->device.address;
  if (nic->device.driver == net::kVfioDriver)
    return session.fail(net::Error{
        net::Code::kNotFound,
        fmt::format("lbctl did not move {} since the last boot, so what its interface had is not known; by hand: echo "
                    ">/sys/bus/pci/devices/{}/driver_override; echo {} >/sys/bus/pci/drivers/vfio-pci/unbind; echo {} "
                    ">/sys/bus/pci/drivers_probe",
                    pci, pci, pci, pci)});
  NicRecord record = NicMove::record_of(*nic, nic->interface ? nic->interface->name : "");
  session.show(to_json(record, false, session.options.dry_run, {}), view_port_unbind);
  return kDone;
}

int unbind(Session& session, PortTools& tools, const Words& words) {
  const auto lock = lock_moves(session, tools);
  if (!lock) return session.fail(lock.error());
  const auto found = find_record(tools.records, words.device);
  if (!found && found.error().code == net::Code::kNotFound)
    return unbind_unknown(session, tools, words.device, found.error());
  if (!found) return session.fail(found.error());
  if (auto checked = check_unbind(tools.host, *found, words.forced); !checked) return session.fail(checked.error());
  const auto steps = texts_of_needed(steps_to_unbind(tools.host, *found));
  if (!session.options.dry_run) {
    const SignalsHeld held;
    if (auto moved = NicMove(tools.host, tools.records).unbind(*found, words.forced); !moved)
      return session.fail(moved.error());
  }
  const bool dry_run = session.options.dry_run;
  session.show(to_json(*found, true, dry_run, dry_run ? steps : std::vector<std::string>()), view_port_unbind);
  return kDone;
}

using Action = int (*)(Session&, PortTools&, const Words&);

CLI::App& add(CLI::App& noun, const char* name, const char* help, Session& session, PortTools& tools,
              const SharedWords& words, Action action) {
  return add_verb(noun, name, help, session,
                  [&session, &tools, words, action] { return action(session, tools, *words); });
}

void add_forces(CLI::App& verb, Words& words) {
  verb.add_flag("--force-session", words.forced.session, "Even if this SSH session goes through it");
  verb.add_flag("--force-default-route", words.forced.default_route, "Even if the default route goes through it");
}

}  // namespace

void add_port_move_commands(CLI::App& noun, Session& session, PortTools& tools) {
  const auto words = std::make_shared<Words>();
  CLI::App& to = add(noun, "bind", "Move a NIC to vfio-pci, its addresses and routes to the port's twin", session,
                     tools, words, bind);
  to.add_option("DEVICE", words->device, "PCI address, or the kernel's interface")->required();
  to.add_option("--name", words->name,
                "The port's name (default: as in " + tools.config + ", else the interface's); the twin is lbd-NAME");
  to.add_option("--try", words->trial, "Undo it after that time unless `lbctl port confirm` follows")
      ->type_name("TIME");
  add_forces(to, *words);
  add(noun, "confirm", "Keep a move that was made with --try", session, tools, words, confirm)
      .add_option("NAME", words->device, "The port, or its PCI address (default: the only one that waits)");
  CLI::App& back = add(noun, "unbind", "Give a NIC back to the kernel, as it was", session, tools, words, unbind);
  back.add_option("NAME", words->device, "The port, its PCI address, or the interface it was")->required();
  back.add_flag("--force-stop", words->forced.stop, "Stop the process that has it");
  add_forces(back, *words);
}

}  // namespace lb::ctl
