#include "tests/unit/lab/lab.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace lb::lab {
namespace {

constexpr const char* kClientMac = "02:00:00:00:aa:02";
constexpr const char* kWanMac = "02:00:00:00:aa:01";
constexpr const char* kLanMac = "02:00:00:00:bb:01";
constexpr const char* kBackendMac = "02:00:00:00:bb:02";

template <class T>
T must(net::Result<T> r) {
  if (!r) die(r.error().message);
  return std::move(r).value();
}

void enter(const std::string& name) {
  const int fd = open(("/run/netns/" + name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) die("entering namespace " + name);
  close(fd);
}

void say(int fd, const std::string& text) {
  const std::string line = text + "\n";
  if (write(fd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) _exit(1);
}

std::string read_line(int fd) {
  std::string line;
  for (char c = 0; read(fd, &c, 1) == 1 && c != '\n';) line += c;
  return line;
}

}  // namespace

void die(const std::string& what) {
  std::fprintf(stderr, "lab: %s\n", what.c_str());
  std::abort();
}

World make_world(model::Forward forward, uint16_t mtu) {
  World w;
  const net::Address backend = must(net::Address::parse("10.2.0.2"));
  w.config.pools["p"] = {.name = "p", .backends = {{.name = "b", .address = backend, .weight = 100, .labels = {}}}};
  model::Service service;
  service.name = "dns";
  service.listen = {must(net::Listener::parse("192.0.2.10:53/udp"))};
  service.pool = "p";
  service.forward = forward;
  service.table_size = 251;
  w.config.services["dns"] = service;
  w.topology.reach[backend] = {.resolved = true,
                               .why = {},
                               .port = net::PortId{1},
                               .next_hop = backend,
                               .on_link = true,
                               .source = must(net::Address::parse("10.2.0.1")),
                               .dst_mac = must(net::Mac::parse(kBackendMac)),
                               .src_mac = must(net::Mac::parse(kLanMac)),
                               .mtu = mtu};
  return w;
}

std::shared_ptr<const model::Snapshot> compile(const World& world, uint64_t generation) {
  model::IdTable ids;
  if (const net::Status assigned = ids.assign(world.config); !assigned) die(assigned.error().message);
  return must(model::Compiler(kLabKey).compile(world.config, world.topology, ids, net::Generation{generation}));
}

std::string why_no_lab() {
  if (geteuid() != 0) return "needs root: network namespaces and BPF";
  if (system("ip netns list >/dev/null 2>&1 && ethtool --version >/dev/null 2>&1") != 0)
    return "needs the commands ip and ethtool";
  return {};
}

Lab::Lab(int queues, int mtu) : prefix_("dpk-" + std::to_string(getpid())), mtu_(mtu) {
  const std::string q = " numrxqueues " + std::to_string(queues) + " numtxqueues " + std::to_string(queues);
  const auto ip = [&](const std::string& where, const std::string& arguments) {
    shell("ip -n " + name(where) + " " + arguments);
  };
  for (const char* where : {"client", "lbd", "backend"}) {
    shell("ip netns add " + name(where));
    ip(where, "link set lo up");
    run(where, "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0");
  }
  ip("lbd", "link add wan" + q + " address " + kWanMac + " type veth peer name eth0" + q + " address " + kClientMac +
                " netns " + name("client"));
  ip("lbd", "link add lan" + q + " address " + kLanMac + " type veth peer name eth0" + q + " address " + kBackendMac +
                " netns " + name("backend"));
  for (const auto& [where, device, address] :
       {std::tuple{"client", "eth0", "10.1.0.2/24"}, std::tuple{"lbd", "wan", "10.1.0.1/24"},
        std::tuple{"lbd", "lan", "10.2.0.1/24"}, std::tuple{"backend", "eth0", "10.2.0.2/24"}}) {
    ip(where, std::string("link set dev ") + device + " mtu " + std::to_string(mtu) + " up");
    ip(where, std::string("addr add ") + address + " dev " + device);
    // A veth sender leaves checksums to hardware that is not there.
    if (run(where, std::string("ethtool -K ") + device + " tx off >/dev/null") != 0) die("ethtool -K");
  }
  for (const char* where : {"lbd", "backend"}) ip(where, "addr add 192.0.2.10/32 dev lo");
  ip("client", "route add 192.0.2.10/32 via 10.1.0.1");
  ip("backend", "route add 10.1.0.0/24 via 10.2.0.1");
}

Lab::~Lab() {
  for (const char* where : {"client", "lbd", "backend"}) (void)!system(("ip netns del " + name(where)).c_str());
}

std::string Lab::name(const std::string& where) const {
  return prefix_ + "-" + where;
}

void Lab::shell(const std::string& command) const {
  if (system(command.c_str()) != 0) die(command);
}

int Lab::run(const std::string& where, const std::string& command) const {
  const int status = system(("ip netns exec " + name(where) + " " + command).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

int Lab::socket_in(const std::string& where, const std::function<int()>& make) const {
  const int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  enter(name(where));
  const int fd = make();
  if (fd < 0 || setns(home, CLONE_NEWNET) != 0) die("socket in " + where);
  close(home);
  timeval deadline = {2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline));
  return fd;
}

int Lab::udp_socket(const std::string& where) const {
  return socket_in(where, [] { return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0); });
}

int Lab::tunnel_socket(const std::string& where) const {
  return socket_in(where, [] { return socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IPIP); });
}

int Lab::udp_client() const {
  const int fd = udp_socket("client");
  sockaddr_in service = {};
  service.sin_family = AF_INET;
  service.sin_port = htons(53);
  inet_pton(AF_INET, "192.0.2.10", &service.sin_addr);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&service), sizeof(service)) != 0) die("connect");
  return fd;
}

ChildInLab::ChildInLab(const Lab& lab, const Body& body) {
  int down[2], up[2];
  if (pipe2(down, O_CLOEXEC) != 0 || pipe2(up, O_CLOEXEC) != 0) die("pipe");
  pid_ = fork();
  if (pid_ == 0) {
    close(down[1]);
    close(up[0]);
    enter(lab.name("lbd"));
    const auto [said, at_end] = body();
    say(up[1], said);
    char byte = 0;
    (void)!read(down[0], &byte, 1);  // until the parent closes its end
    if (at_end) at_end();
    fflush(stderr);
    _exit(0);
  }
  close(down[0]);
  close(up[1]);
  to_child_ = down[1];
  from_child_ = up[0];
  said_ = read_line(from_child_);
}

ChildInLab::~ChildInLab() {
  end();
}

void ChildInLab::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
  end();
}

void ChildInLab::end() {
  if (pid_ <= 0) return;
  close(to_child_);
  waitpid(pid_, nullptr, 0);
  close(from_child_);
  pid_ = -1;
}

}  // namespace lb::lab
