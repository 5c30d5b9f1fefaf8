// The client's end of many test transfers, see transfer.h, steered by lines on standard input; each is answered with
// one line of JSON on standard output.
//   open COUNT d|u PERIOD_MS ADDRESS PORT   downloads or uploads, a piece every PERIOD_MS; answered when each has a
//   backend probe COUNT ADDRESS PORT                new connections that ask for the backend's name only beat answered
//   when every live transfer has got another piece through list                                    every transfer:
//   source, destination, backend, state finish                                  ends the live transfers; answered when
//   both sides agree on every byte
// SECONDS as the first argument is when to give up waiting for an answer: what is late then counts as a timeout.
#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>

#include "tests/tools/transfer_connection.h"

namespace lb::tools {
namespace {

constexpr int kTickMs = 5;
constexpr size_t kFinishTogether = 256;

using Connections = std::vector<std::unique_ptr<Connection>>;

void print_counts(std::ostream& out, std::string_view key, const std::map<std::string, size_t>& counts) {
  out << '"' << key << "\": {";
  const char* comma = "";
  for (const auto& [name, n] : counts) {
    out << comma << '"' << name << "\": " << n;
    comma = ", ";
  }
  out << '}';
}

// {"count": 3, "states": {"live": 3}, "backends": {"b1": 3}, "pieces": 12}
std::string summary(const Connections& all) {
  std::map<std::string, size_t> states, backends;
  uint64_t pieces = 0;
  for (const auto& c : all) {
    states[std::string(to_string(c->state()))]++;
    if (!c->backend().empty()) backends[std::string(c->backend())]++;
    pieces += c->pieces();
  }
  std::ostringstream out;
  out << "{\"count\": " << all.size() << ", ";
  print_counts(out, "states", states);
  out << ", ";
  print_counts(out, "backends", backends);
  out << ", \"pieces\": " << pieces << "}";
  return out.str();
}

std::string listing(const Connections& all) {
  std::ostringstream out;
  out << '[';
  const char* comma = "";
  for (const auto& c : all) {
    out << comma << "{\"source\": \"" << c->source() << "\", \"destination\": \"" << c->destination()
        << "\", \"mode\": \"" << static_cast<char>(c->hello().mode) << "\", \"backend\": \"" << c->backend()
        << "\", \"state\": \"" << to_string(c->state()) << "\", \"error\": \"" << c->error()
        << "\", \"pieces\": " << c->pieces() << "}";
    comma = ", ";
  }
  out << ']';
  return out.str();
}

class Client {
 public:
  explicit Client(uint64_t patience_ms) : patience_ms_(patience_ms) {}

  // RETURNS: when standard input has ended. Between two commands the transfers go on.
  void run() {
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    std::string typed;
    for (bool more = true; more;) {
      turn();
      char buffer[4096];
      const ssize_t n = read(STDIN_FILENO, buffer, sizeof(buffer));
      if (n == 0) more = false;
      if (n > 0) typed.append(buffer, static_cast<size_t>(n));
      for (size_t end; (end = typed.find('\n')) != std::string::npos; typed.erase(0, end + 1)) {
        std::cout << command(typed.substr(0, end)) << std::endl;
      }
    }
  }

 private:
  std::string command(const std::string& line) {
    std::istringstream words(line);
    std::string verb, mode, address, port;
    size_t count = 0;
    uint32_t period_ms = 0;
    words >> verb;
    if (verb == "open" && words >> count >> mode >> period_ms >> address >> port)
      return open(count, mode, period_ms, address, port);
    if (verb == "probe" && words >> count >> address >> port) return probe(count, address, port);
    if (verb == "beat") return beat();
    if (verb == "list") return listing(transfers_);
    if (verb == "finish") return finish();
    fprintf(stderr, "transfer_client: no such command: %s\n", line.c_str());
    exit(2);
  }

  void begin(Connections& into, size_t count, Mode mode, uint32_t period_ms, const std::string& address,
             const std::string& port) {
    for (size_t i = 0; i < count; i++) {
      into.push_back(std::make_unique<Connection>(address, port, Hello{kMagic, ++last_id_, mode, period_ms}));
    }
  }
  std::string open(size_t count, const std::string& mode, uint32_t period_ms, const std::string& address,
                   const std::string& port) {
    begin(transfers_, count, mode == "u" ? Mode::kUpload : Mode::kDownload, period_ms, address, port);
    wait(transfers_, [](const Connection& c) { return !c.backend().empty(); });
    return summary(transfers_);
  }
  std::string probe(size_t count, const std::string& address, const std::string& port) {
    probes_.clear();
    begin(probes_, count, Mode::kProbe, 0, address, port);
    wait(probes_, [](const Connection&) { return false; });
    const std::string text = summary(probes_);
    probes_.clear();
    return text;
  }
  std::string beat() {
    std::map<const Connection*, uint64_t> before;
    for (const auto& c : transfers_) before[c.get()] = c->pieces();
    wait(transfers_, [&](const Connection& c) { return c.pieces() > before[&c]; });
    return summary(transfers_);
  }
  // Some at a time: the last packets of thousands are more than a queue on their way holds.
  std::string finish() {
    for (size_t i = 0; i < transfers_.size(); i++) {
      transfers_[i]->finish();
      if (i % kFinishTogether == kFinishTogether - 1 || i == transfers_.size() - 1)
        wait(transfers_, [](const Connection& c) { return !c.finishing(); });
    }
    return summary(transfers_);
  }

  // Until each is over or satisfies `enough`; at the deadline what still does not is given up.
  void wait(Connections& all, const std::function<bool(const Connection&)>& enough) {
    const auto waits = [&](const auto& c) { return c->state() == State::kLive && !enough(*c); };
    const uint64_t deadline = now_ms() + patience_ms_;
    while (std::any_of(all.begin(), all.end(), waits)) {
      if (now_ms() > deadline) {
        for (const auto& c : all)
          if (waits(c)) c->give_up();
      }
      turn();
    }
  }

  void turn() {
    std::vector<pollfd> wanted{{STDIN_FILENO, POLLIN, 0}};
    std::vector<Connection*> who{nullptr};
    const uint64_t now = now_ms();
    for (Connections* all : {&transfers_, &probes_}) {
      for (const auto& c : *all) {
        c->tick(now);
        if (c->state() != State::kLive) continue;
        wanted.push_back({c->fd(), POLLIN, 0});
        who.push_back(c.get());
      }
    }
    // A tick's packets are taken together: waking up for each would cost a core.
    if (poll(wanted.data(), 1, kTickMs) < 0 || poll(wanted.data(), wanted.size(), 0) <= 0) return;
    for (size_t i = 1; i < wanted.size(); i++)
      if (wanted[i].revents != 0) who[i]->readable();
  }

  uint64_t patience_ms_;
  uint32_t last_id_ = 0;
  Connections transfers_, probes_;
};

}  // namespace
}  // namespace lb::tools

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "transfer_client SECONDS\n");
    return 2;
  }
  lb::tools::Client(static_cast<uint64_t>(atoi(argv[1])) * 1000).run();
}
