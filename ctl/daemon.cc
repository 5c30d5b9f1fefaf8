#include "ctl/daemon.h"

#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "ctl/access.h"
#include "ctl/announcer.h"
#include "ctl/audit.h"
#include "ctl/controller.h"
#include "ctl/dispatcher.h"
#include "ctl/drift.h"
#include "ctl/event_ring.h"
#include "ctl/hash_key.h"
#include "ctl/json_change.h"
#include "ctl/log.h"
#include "ctl/netlink.h"
#include "ctl/path_mtu_source.h"
#include "ctl/server.h"
#include "ctl/socket_claim.h"
#include "ctl/source_files.h"
#include "ctl/state_store.h"
#include "ctl/vip_device.h"
#include "dataplane/model/config_text.h"

namespace lb::ctl {
namespace {

namespace asio = boost::asio;

class Prepared : public Control {
 public:
  Prepared(SocketClaim claim, std::unique_ptr<StateStore> state_store, lb_hash_key hash_key, model::Config running,
           std::string file)
      : socket(std::move(claim)),
        store(std::move(state_store)),
        key(hash_key),
        what_runs(std::move(running)),
        config_path(std::move(file)),
        events(what_runs.daemon.state_dir + "/events", system_files()) {}
  ~Prepared() override { set_log_observer({}); }
  const model::Config& config() const override { return what_runs; }
  const lb_hash_key& hash_key() const override { return key; }

  SocketClaim socket;
  std::unique_ptr<StateStore> store;
  lb_hash_key key;
  model::Config what_runs;
  std::string config_path;
  std::optional<State> state;
  std::vector<std::string> notes;
  EventRing events;
};

// Services and pools of the state with the daemon of the file.
net::Result<model::Config> config_of(const State& state, const model::Config& file, const std::string& path) {
  model::Parsed parsed = model::parse_config(state.config_text, path, model::no_includes());
  if (!parsed.problems.empty()) {
    return net::Error{
        net::Code::kInvalid,
        fmt::format("the state in {} is whole but not valid for this lbd, revision {}:\n{}\nstart the lbd "
                    "that wrote it, or move the file away to begin from the configuration file",
                    path, state.revision, model::to_error(parsed.problems).message)};
  }
  parsed.config.daemon = file.daemon;
  return std::move(parsed.config);
}

std::vector<PortLink> port_links(const model::Config& config, model::Engine& engine) {
  std::vector<PortLink> links;
  // With engine xdp an interface's MTU is its own.
  const auto configured = config.daemon.engine == "xdp" ? std::vector<model::Port>() : config.daemon.ports;
  for (const model::PortCounters& p : engine.ports()) {
    const size_t i = net::raw(p.port);
    const uint16_t mtu = i < configured.size() ? configured[i].mtu.value_or(p.mtu) : p.mtu;
    links.push_back({p.ifname, p.port, mtu});
  }
  return links;
}

void log_unknown(const Access& access) {
  for (const Access::Unknown& u : access.unknown())
    log(LogLevel::kWarning, "access_unknown", {{"key", u.path}, {"entry", u.entry}, {"why", u.message}});
}

void audit_reload(AuditLog& audit, const std::string& path, const net::Result<ChangeResult>& result) {
  const Peer self{.uid = geteuid(), .gid = getegid(), .pid = getpid()};
  const nlohmann::json params = {{"file", path}};
  AuditEntry entry{self};
  entry.role = Role::kOperator;
  entry.method = "reload";
  entry.params = &params;
  nlohmann::json done;
  if (result) {
    done = change_json(*result);
    entry.result = &done;
  } else {
    entry.error = &result.error();
    entry.code = code_text(result.error().code);
  }
  audit.change(entry);
}

// SIGHUP, `systemctl reload`: the configuration file's services and pools become ours, with every guard; and the names
// of daemon.access are looked up again.
void reload(Node& node, const std::string& path) {
  node.access.look_up();
  log_unknown(node.access);
  Controller& controller = node.controller;
  ChangeOptions options;
  model::Parsed parsed = model::load_config(path, noting_reader(options.files));
  if (!parsed.problems.empty()) {
    const net::Error why = model::to_error(parsed.problems);
    log(LogLevel::kError, "reload_refused", {{"file", path}, {"why", why.message}});
    audit_reload(node.audit, path, why);
    return;
  }
  if (!parsed.has_daemon) parsed.config.daemon = controller.config().daemon;
  options.author.uid = geteuid();
  options.author.command = "reload";
  auto result = controller.replace(std::move(parsed.config), options);
  audit_reload(node.audit, path, result);
  if (!result) {
    log(LogLevel::kError, "reload_refused", {{"file", path}, {"why", result.error().message}});
  } else if (!result->changed) {
    log(LogLevel::kInfo, "reload_without_change", {{"file", path}});
  }
}

class Loop {
 public:
  Loop(Prepared& prepared, model::Engine& engine)
      : prepared_(prepared), engine_(engine), signals_(io_, SIGTERM, SIGINT, SIGHUP) {}

  net::Status run() {
    std::signal(SIGPIPE, SIG_IGN);
    auto kernel = open_netlink(io_, port_links(prepared_.what_runs, engine_));
    if (!kernel) return std::move(kernel).error();
    const auto topology = learn_path_mtus(io_, std::move(*kernel));
    Controller controller(engine_, *topology, *prepared_.store, prepared_.key);
    if (auto started = controller.start(prepared_.what_runs, prepared_.state); !started) return started;
    topology->judge_by([&] { return InUse{controller.topology(), controller.snapshot(), controller.now()}; });
    topology->on_change([&] { controller.topology_changed(); });
    Drift drift(prepared_.config_path);
    Access access(prepared_.what_runs.daemon.access, geteuid());
    log_unknown(access);
    AuditLog audit(prepared_.what_runs.daemon.state_dir + "/audit.log");
    Node node{controller, drift, std::chrono::system_clock::now(), prepared_.notes, access, audit, &prepared_.events};
    const std::string& why = drift.check(controller.config(), controller.revision());
    if (!why.empty()) log(LogLevel::kWarning, "drift", {{"file", drift.path()}, {"why", why}});
    const auto device = open_vip_device(io_, holding());
    Announcer announcer(controller, *device);
    node.announcer = &announcer;
    Dispatcher dispatcher(node);
    Server server(io_, prepared_.socket.release_listener(), dispatcher);
    server.start();
    if (auto kept = engine_.keep(); !kept) return kept;
    // Who is announced gets packets: from here on they are forwarded.
    announcer.update();
    controller.on_publication([&announcer] { announcer.update(); });
    wait_for_signal(node);
    wait_for_tick(node);
    log(LogLevel::kInfo, "ready", {{"socket", prepared_.what_runs.daemon.socket}, {"pid", getpid()}});
    io_.run();
    log(LogLevel::kInfo, "stopped");
    return {};
  }

 private:
  void wait_for_signal(Node& node) {
    signals_.async_wait([this, &node](const boost::system::error_code& error, int signal) {
      if (error) return;
      if (signal == SIGHUP)
        reload(node, prepared_.config_path);
      else
        stop(*node.announcer, signal);
      wait_for_signal(node);
    });
  }

  // Routers need a moment to learn that packets shall go elsewhere; until then they are forwarded. Where nothing was
  // announced nobody learns anything; a second signal means at once.
  void stop(Announcer& announcer, int signal) {
    const bool again = announcer.is_stopping();
    const uint32_t delay = announcer.withdraw_all() && !again ? prepared_.what_runs.daemon.shutdown_delay_s : 0;
    log(LogLevel::kInfo, "stopping", {{"signal", signal}, {"after_s", delay}});
    if (delay == 0) return io_.stop();
    end_.expires_after(std::chrono::seconds(delay));
    end_.async_wait([this](const boost::system::error_code& error) {
      if (!error) io_.stop();
    });
  }

  // Where the holder of announcements is to be found, and whether this engine wants one.
  VipHolding holding() const {
    const std::string& socket = prepared_.what_runs.daemon.socket;
    return {.path = socket.substr(0, socket.rfind('/') + 1) + "vip.sock",
            .socket = socket,
            .wanted = prepared_.what_runs.daemon.engine == "xdp"};
  }

  void wait_for_tick(Node& node) {
    ticks_.expires_after(std::chrono::seconds(1));
    ticks_.async_wait([this, &node](const boost::system::error_code& error) {
      if (error) return;
      node.controller.tick();
      node.announcer->tick();
      node.audit.tick();
      wait_for_tick(node);
    });
  }

  Prepared& prepared_;
  model::Engine& engine_;
  asio::io_context io_{1};
  asio::signal_set signals_;
  asio::steady_timer ticks_{io_}, end_{io_};
};

}  // namespace

net::Result<std::unique_ptr<Control>> prepare_control(const model::Config& config, const std::string& config_path) {
  // Who may do what is held against what the kernel tells of each client, so that the socket itself can be open to all.
  auto socket = SocketClaim::take(config.daemon.socket, names_others(config.daemon.access) ? 0666 : 0600);
  if (!socket) return std::move(socket).error();
  auto store = std::make_unique<StateStore>(config.daemon.state_dir);
  if (auto opened = store->open(); !opened) return opened.error();
  auto key = load_hash_key(config.daemon.hash_key_file);
  if (!key) return std::move(key).error();
  auto loaded = store->load();
  if (!loaded) return std::move(loaded).error();

  model::Config running = config;
  if (loaded->state) {
    auto from_state = config_of(*loaded->state, config, store->path());
    if (!from_state) return std::move(from_state).error();
    running = std::move(from_state).value();
  }
  auto prepared =
      std::make_unique<Prepared>(std::move(socket).value(), std::move(store), *key, std::move(running), config_path);
  prepared->state = std::move(loaded->state);
  // Without them lbd does its work: said, and in the summary.
  if (auto opened = prepared->events.open(); !opened)
    log(LogLevel::kError, "events_not_kept", {{"why", opened.error().message}});
  set_log_observer(
      [events = &prepared->events](LogLevel level, std::string_view event, std::span<const LogField> fields) {
        events->add(level, event, fields);
      });
  if (!loaded->damaged.empty()) {
    prepared->notes.push_back(fmt::format("{}; services and pools are those of {}", loaded->damaged, config_path));
    log(LogLevel::kError, "state_damaged", {{"why", prepared->notes.back()}});
  }
  return std::unique_ptr<Control>(std::move(prepared));
}

int run_control(Control& control, model::Engine& engine) {
  // Made by prepare_control(), the only one who makes any.
  Loop loop(static_cast<Prepared&>(control), engine);
  auto done = loop.run();
  if (done) return 0;
  log(LogLevel::kError, "failed", {{"why", done.error().message}});
  return 1;
}

}  // namespace lb::ctl
