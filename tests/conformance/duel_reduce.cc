#include "tests/conformance/duel.h"

namespace lb::conformance {
namespace {

// RETURNS: how many events it takes until something is different, with what; 0: nothing is.
std::pair<size_t, std::string> differs(Duel& duel, const std::vector<Event>& events) {
  duel.restart();
  for (size_t i = 0; i < events.size(); i++)
    if (std::string what = duel.play(events[i]); !what.empty()) return {i + 1, std::move(what)};
  return {0, {}};
}

// The last `frames` frames, with everything else that happened.
std::vector<Event> tail(const std::vector<Event>& events, size_t frames) {
  size_t begin = events.size();
  while (begin > 0 && frames > 0)
    if (events[--begin].kind == Event::Kind::kFrame) frames--;
  std::vector<Event> out;
  for (size_t i = 0; i < events.size(); i++)
    if (i >= begin || events[i].kind != Event::Kind::kFrame) out.push_back(events[i]);
  return out;
}

}  // namespace

Reduced reduce(Duel& duel, const std::vector<Event>& events) {
  Reduced best{events, {}};
  const auto accept = [&](std::vector<Event> some) {
    auto [count, what] = differs(duel, some);
    if (count == 0) return false;
    some.resize(count);
    best = {std::move(some), std::move(what)};
    return true;
  };
  if (!accept(events)) return {events, "nothing, the second time: it depends on more than these events"};
  for (size_t frames = 1; frames < events.size(); frames *= 2)
    if (accept(tail(events, frames))) break;
  int tries = 400;
  for (size_t chunk = (best.events.size() + 1) / 2; chunk > 0; chunk /= 2) {
    for (size_t at = 0; at < best.events.size() && tries > 0;) {
      std::vector<Event> some = best.events;
      const auto first = some.begin() + static_cast<ptrdiff_t>(at);
      some.erase(first, first + static_cast<ptrdiff_t>(std::min(chunk, some.size() - at)));
      tries--;
      if (!accept(std::move(some))) at += chunk;
    }
  }
  return best;
}

std::string describe(const Event& e) {
  switch (e.kind) {
    case Event::Kind::kFrame:
      return "frame\n" + packet::describe(e.frame);
    case Event::Kind::kTime:
      return std::to_string(e.value) + " ms pass\n";
    case Event::Kind::kSnapshot:
      return "snapshot " + std::to_string(e.value) + "\n";
    case Event::Kind::kEgress:
      return e.value != 0 ? "port lan is back\n" : "port lan is gone\n";
    case Event::Kind::kExceptionPath:
      return e.value != 0 ? "the exception path is back\n" : "the exception path is gone\n";
  }
  return {};
}

}  // namespace lb::conformance
