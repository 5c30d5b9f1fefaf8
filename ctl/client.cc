#include "ctl/client.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lb::ctl {
namespace {

using nlohmann::json;

timeval to_timeval(std::chrono::milliseconds t) {
  const auto ms = std::max<int64_t>(t.count(), 1);
  return {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

// The text in a memfd, at its start.
std::variant<UniqueFd, Failure> text_to_memory(const std::string& text) {
  if (text.size() > kMaxTextBytes) {
    return Failure{kRefused,
                   "invalid",
                   fmt::format("the configuration has {} bytes; lbd takes at most {}", text.size(), kMaxTextBytes),
                   {}};
  }
  UniqueFd fd(memfd_create("lbctl-config", MFD_CLOEXEC));
  for (size_t done = 0; fd && done < text.size();) {
    const ssize_t n = pwrite(fd.get(), text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (n <= 0) {
      fd.reset();
      break;
    }
    done += static_cast<size_t>(n);
  }
  if (!fd) return Failure{kRefused, "io", fmt::format("no memory for the configuration: {}", strerror(errno)), {}};
  return fd;
}

std::vector<std::string> problem_lines(const json& data) {
  std::vector<std::string> lines;
  if (!data.contains("problems") || !data["problems"].is_array()) return lines;
  for (const json& p : data["problems"]) lines.push_back(p.is_string() ? p.get<std::string>() : p.dump());
  return lines;
}

Failure refusal(const json& error) {
  Failure f{kRefused, "internal", error.value("message", "lbd refused and gave no reason"), {}};
  if (const auto data = error.find("data"); data != error.end() && data->is_object()) {
    f.code = data->value("code", f.code);
    f.problems = problem_lines(*data);
  }
  if (f.code == "timeout") f.exit = kTimedOut;
  return f;
}

}  // namespace

Client::Client(std::string socket, std::chrono::milliseconds timeout) : socket_(std::move(socket)), timeout_(timeout) {}

Answer Client::call(std::string_view method, json params) {
  const auto deadline = Clock::now() + timeout_;
  if (!fd_) {
    if (auto problem = connect(deadline)) return *problem;
    if (auto problem = check_hello(deadline)) {
      fd_.reset();
      return *problem;
    }
  }
  UniqueFd attached;
  if (const auto text = params.find("text");
      text != params.end() && text->get_ref<const std::string&>().size() > kInlineTextBytes) {
    auto memory = text_to_memory(text->get_ref<const std::string&>());
    if (auto* failure = std::get_if<Failure>(&memory)) return *failure;
    attached = std::get<UniqueFd>(std::move(memory));
    params.erase(text);
    params["fd"] = true;
  }
  return exchange(method, params, attached.get(), deadline);
}

std::optional<Failure> Client::connect(Clock::time_point deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_.empty() || socket_.size() >= sizeof address.sun_path) {
    return Failure{kUsage,
                   "invalid",
                   fmt::format("socket path \"{}\" has {} bytes; a Unix socket's has 1 to {}", socket_, socket_.size(),
                               sizeof address.sun_path - 1),
                   {}};
  }
  std::copy(socket_.begin(), socket_.end(), address.sun_path);
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return connect_failure(errno);
  // A full backlog makes connect() wait for this long.
  const timeval limit = to_timeval(std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()));
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0 ||
      ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return connect_failure(errno);
  }
  fd_ = std::move(fd);
  return std::nullopt;
}

Failure Client::connect_failure(int error) const {
  const auto failure = [](Exit exit, const char* code, std::string text) {
    return Failure{exit, code, std::move(text), {}};
  };
  struct stat st {};
  const bool is_other_file = stat(socket_.c_str(), &st) == 0 && !S_ISSOCK(st.st_mode);
  if (is_other_file) {
    return failure(kNoDaemon, "unavailable", fmt::format("{} is no socket; name lbd's with -s or LBD_SOCKET", socket_));
  }
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return failure(kNoDaemon, "unavailable",
                     fmt::format("no lbd here: {} does not exist; start lbd, or name its socket (daemon.socket of its "
                                 "configuration) with -s or LBD_SOCKET",
                                 socket_));
    case ECONNREFUSED:
      return failure(kNoDaemon, "unavailable",
                     fmt::format("nobody answers at {}: it was left behind by an lbd that is gone; start lbd, it "
                                 "replaces it",
                                 socket_));
    case EACCES:
    case EPERM:
      return failure(
          kRefused, "permission",
          fmt::format("no permission for {}: it is root's alone; run lbctl as root (sudo lbctl ...), or have "
                      "daemon.access name you or a group of yours",
                      socket_));
    case EAGAIN:
    case EINPROGRESS:
      return failure(kTimedOut, "timeout",
                     fmt::format("lbd at {} did not accept a connection within {} s", socket_,
                                 static_cast<double>(timeout_.count()) / 1000));
    default:
      return failure(kNoDaemon, "unavailable", fmt::format("cannot connect to {}: {}", socket_, strerror(error)));
  }
}

Failure Client::no_protocol(std::string_view got) const {
  return {kNoDaemon,
          "unsupported",
          fmt::format("what answers at {} {}; this lbctl speaks protocol {}: use the lbctl that came with that lbd",
                      socket_, got, kProtocol),
          {}};
}

Failure Client::gone(std::string_view how) const {
  return {kNoDaemon,
          "unavailable",
          fmt::format("lbd at {} {}; whether the command was carried out is not known: look with `lbctl` and in lbd's "
                      "log",
                      socket_, how),
          {}};
}

std::optional<Failure> Client::check_hello(Clock::time_point deadline) {
  const Answer answer = exchange("hello", json::object(), -1, deadline);
  if (const auto* failure = std::get_if<Failure>(&answer)) {
    // Turned away by its name, or there is no place: that is an lbd that we can talk to.
    const bool told = failure->code == "permission" || failure->code == "unavailable";
    if (failure->exit == kRefused && !told) return no_protocol("does not know `hello`");
    return *failure;
  }
  const json& hello = std::get<json>(answer);
  if (!hello.is_object() || !hello.contains("protocol") || !hello["protocol"].is_number_integer()) {
    return no_protocol("does not tell its protocol");
  }
  if (hello["protocol"] != kProtocol) {
    const json version = hello.value("version", json("of an unknown version"));
    return no_protocol(fmt::format("is lbd {} with protocol {}", version.is_string() ? version.get<std::string>() : "?",
                                   hello["protocol"].dump()));
  }
  return std::nullopt;
}

Answer Client::exchange(std::string_view method, const json& params, int attached, Clock::time_point deadline) {
  const int id = ++last_id_;
  std::string line;
  try {
    line = json{{"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", params}}.dump() + "\n";
  } catch (const json::exception&) {
    return Failure{kUsage, "invalid", "an argument is not UTF-8 text", {}};
  }
  if (line.size() > kMaxRequestBytes) {
    return Failure{kRefused,
                   "invalid",
                   fmt::format("the request has {} bytes, more than {}: change many things at once with `lbctl config "
                               "apply`",
                               line.size(), kMaxRequestBytes),
                   {}};
  }
  if (auto problem = send(line, attached, deadline)) return *problem;
  std::string text;
  if (auto problem = receive(&text, deadline)) return *problem;
  json answer = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return no_protocol("does not speak JSON-RPC");
  if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) return refusal(*error);
  if (!answer.contains("result") || answer.value("id", json()) != id) {
    return no_protocol("does not answer what was asked");
  }
  return std::move(answer["result"]);
}

std::optional<Failure> Client::wait(short events, Clock::time_point deadline, std::string_view what) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    pollfd p{.fd = fd_.get(), .events = events, .revents = 0};
    const int n = left > 0 ? poll(&p, 1, static_cast<int>(left)) : 0;
    if (n > 0) return std::nullopt;
    if (n < 0 && errno == EINTR) continue;
    fd_.reset();  // a late answer must not be taken for the next one
    return Failure{kTimedOut,
                   "timeout",
                   fmt::format("lbd at {} {} within {} s; it may still be at it: look with `lbctl`, or give it longer "
                               "with --timeout",
                               socket_, what, static_cast<double>(timeout_.count()) / 1000),
                   {}};
  }
}

std::optional<Failure> Client::send(std::string_view line, int attached, Clock::time_point deadline) {
  while (!line.empty()) {
    if (auto problem = wait(POLLOUT, deadline, "did not take the request")) return problem;
    iovec io{.iov_base = const_cast<char*>(line.data()), .iov_len = line.size()};
    msghdr message{};
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (attached >= 0) {  // goes with the first bytes
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      memcpy(CMSG_DATA(header), &attached, sizeof attached);
    }
    const ssize_t n = sendmsg(fd_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) {
      const int error = errno;
      if (has_said_why()) return std::nullopt;
      const Failure failure = gone(fmt::format("closed the connection ({})", strerror(error)));
      fd_.reset();
      return failure;
    }
    attached = -1;
    line.remove_prefix(static_cast<size_t>(n));
  }
  return std::nullopt;
}

// It may have told why before it closed.
bool Client::has_said_why() const {
  pollfd p{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  char first;
  return poll(&p, 1, 0) == 1 && recv(fd_.get(), &first, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

std::optional<Failure> Client::receive(std::string* line, Clock::time_point deadline) {
  size_t searched = 0;
  for (;;) {
    if (const size_t end = buffer_.find('\n', searched); end != std::string::npos) {
      std::string rest = buffer_.substr(end + 1);
      buffer_.resize(end);
      *line = std::exchange(buffer_, std::move(rest));  // no copy of many megabytes
      return std::nullopt;
    }
    searched = buffer_.size();
    if (searched > kMaxAnswerBytes) return no_protocol("sends an answer without end");
    if (auto problem = wait(POLLIN, deadline, "did not answer")) return problem;
    char chunk[1 << 16];
    const ssize_t n = recv(fd_.get(), chunk, sizeof chunk, MSG_DONTWAIT);
    if (n > 0) {
      buffer_.append(chunk, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    const Failure failure = gone(n == 0 ? "closed the connection without an answer"
                                        : fmt::format("broke the connection ({})", strerror(errno)));
    fd_.reset();
    return failure;
  }
}

}  // namespace lb::ctl
