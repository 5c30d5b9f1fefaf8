// Changes in words, for `config diff`, logs and answers.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "dataplane/model/change.h"
#include "dataplane/model/text_rules.h"

namespace lb::model {
namespace {

constexpr size_t kMaxListenersShown = 4;

std::string listeners(const std::vector<Listener>& listen) {
  std::vector<std::string> texts;
  for (const Listener& l : listen) texts.push_back(l.to_string());
  return join_words(std::vector<std::string_view>(texts.begin(), texts.end()), kMaxListenersShown);
}

std::string labels(const std::map<std::string, std::string>& labels) {
  std::string out = "{";
  for (const auto& [key, value] : labels) out += fmt::format("{}{}: {}", out.size() > 1 ? ", " : "", key, value);
  return out + "}";
}

// "weight 100 -> 50", or "weight 50" when the old value is not known.
class Fields {
 public:
  void add(std::string_view what, const std::string* old, const std::string& now) {
    if (!out_.empty()) out_ += ", ";
    out_ += old != nullptr ? fmt::format("{} {} -> {}", what, *old, now) : fmt::format("{} {}", what, now);
  }
  // field: what the change sets; before: where the old value stands, or null; text: how one is written.
  template <class T, class Object, class Text>
  void add(std::string_view what, const std::optional<T>& field, const Object* before, T Object::*member, Text write) {
    if (!field) return;
    const std::string now = write(*field);
    if (before == nullptr) return add(what, nullptr, now);
    const std::string old = write(before->*member);
    if (old != now) add(what, &old, now);
  }
  std::string text() && { return out_.empty() ? "nothing changes" : std::move(out_); }

 private:
  std::string out_;
};

const Service* service_in(const Config* config, const std::string& name) {
  if (config == nullptr) return nullptr;
  const auto it = config->services.find(name);
  return it == config->services.end() ? nullptr : &it->second;
}

const Backend* backend_in(const Config* config, const std::string& pool, const std::string& name) {
  if (config == nullptr) return nullptr;
  const auto it = config->pools.find(pool);
  if (it == config->pools.end()) return nullptr;
  const auto& all = it->second.backends;
  const auto at = std::find_if(all.begin(), all.end(), [&](const Backend& b) { return b.name == name; });
  return at == all.end() ? nullptr : &*at;
}

struct InWords {
  const Config* before;

  std::string operator()(const AddService& c) const {
    const Service& s = c.service;
    return fmt::format("+ service {}: {} to pool {}, {}, {}{}", s.name, listeners(s.listen), s.pool,
                       to_string(s.forward), to_string(s.schedule), s.announce == Announce::kOn ? ", announced" : "");
  }
  std::string operator()(const SetService& c) const {
    const Service* old = service_in(before, c.name);
    const auto same = [](const std::string& s) { return s; };
    const auto word = [](auto value) { return std::string(to_string(value)); };
    const auto number = [](uint32_t n) { return std::to_string(n); };
    Fields f;
    f.add("listen", c.listen, old, &Service::listen, listeners);
    f.add("pool", c.pool, old, &Service::pool, same);
    f.add("forward", c.forward, old, &Service::forward, word);
    f.add("schedule", c.schedule, old, &Service::schedule, word);
    f.add("table-size", c.table_size, old, &Service::table_size, number);
    f.add("source-prefix IPv4", c.prefix4, old, &Service::prefix4, number);
    f.add("source-prefix IPv6", c.prefix6, old, &Service::prefix6, number);
    f.add("on-no-listener", c.on_no_listener, old, &Service::on_no_listener, word);
    f.add("announce", c.announce, old, &Service::announce, word);
    return fmt::format("~ service {}: {}", c.name, std::move(f).text());
  }
  std::string operator()(const RemoveService& c) const {
    const Service* old = service_in(before, c.name);
    return fmt::format("- service {}{}", c.name, old != nullptr ? ": " + listeners(old->listen) : "");
  }
  std::string operator()(const AddPool& c) const {
    const size_t n = c.pool.backends.size();
    return fmt::format("+ pool {}: {} backend{}", c.pool.name, grouped(n), n == 1 ? "" : "s");
  }
  std::string operator()(const RemovePool& c) const { return fmt::format("- pool {}", c.name); }
  std::string operator()(const AddBackend& c) const {
    const Backend& b = c.backend;
    return fmt::format("+ backend {}/{}: {}, weight {}{}", c.pool, b.name, b.address.to_string(), b.weight,
                       b.labels.empty() ? "" : ", labels " + labels(b.labels));
  }
  std::string operator()(const SetBackend& c) const {
    const Backend* old = backend_in(before, c.pool, c.name);
    Fields f;
    f.add("address", c.address, old, &Backend::address, [](const Address& a) { return a.to_string(); });
    f.add("weight", c.weight, old, &Backend::weight, [](uint32_t n) { return std::to_string(n); });
    f.add("labels", c.labels, old, &Backend::labels, labels);
    return fmt::format("~ backend {}/{}: {}", c.pool, c.name, std::move(f).text());
  }
  std::string operator()(const RemoveBackend& c) const {
    const Backend* old = backend_in(before, c.pool, c.name);
    return fmt::format("- backend {}/{}{}", c.pool, c.name, old != nullptr ? ": " + old->address.to_string() : "");
  }
};

}  // namespace

std::string to_string(const Change& change, const Config* before) {
  return std::visit(InWords{before}, change);
}

}  // namespace lb::model
