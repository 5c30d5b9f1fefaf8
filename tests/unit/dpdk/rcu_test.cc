// Publication under load, with plain threads: also the program that runs under TSan.
#include "dataplane/dpdk/rcu.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace lb::dpdk {
namespace {

using namespace std::chrono_literals;

constexpr uint64_t kPoison = 0xdeaddeaddeaddeadull;

// Freed memory is poisoned while it is still ours to look at: the array outlives the value, as a freed page would be
// reused. A reader that meets poison, or two words that disagree, used a value after its grace period.
struct Poisoned {
  explicit Poisoned(uint64_t generation, std::atomic<uint64_t>* freed = nullptr) : freed_(freed) {
    words.fill(generation);
  }
  ~Poisoned() {
    // Not optimised away: volatile, since the object ends here.
    for (uint64_t& w : words) *const_cast<volatile uint64_t*>(&w) = kPoison;
    if (freed_ != nullptr) freed_->fetch_add(1);
  }
  Poisoned(const Poisoned&) = delete;
  Poisoned& operator=(const Poisoned&) = delete;
  std::array<uint64_t, 64> words;

 private:
  std::atomic<uint64_t>* freed_;
};

// Destroys at once, gives the memory back only when the test ends.
class Graveyard {
 public:
  std::shared_ptr<const Poisoned> make(uint64_t generation) {
    void* memory = operator new(sizeof(Poisoned));
    memory_.emplace_back(memory);
    return {new (memory) Poisoned(generation, &freed), [](Poisoned* p) { p->~Poisoned(); }};
  }
  std::atomic<uint64_t> freed = 0;

 private:
  struct Delete {
    void operator()(void* p) const { operator delete(p); }
  };
  std::vector<std::unique_ptr<void, Delete>> memory_;
};

struct Reader {
  std::atomic<uint64_t> loops = 0;
  std::atomic<uint64_t> last = 0;
  uint64_t torn = 0, poisoned = 0, backwards = 0;  // read after join

  void run(uint32_t number, Readers& readers, const Published<Poisoned>& published, const std::atomic<bool>& stop) {
    readers.online(number);
    uint64_t newest = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      readers.quiescent(number);
      const Poisoned& value = *published.read();
      const uint64_t first = value.words[0];
      for (const uint64_t w : value.words) torn += w != first;
      poisoned += first == kPoison;
      backwards += first < newest;
      newest = first;
      last.store(newest, std::memory_order_relaxed);
      loops.fetch_add(1, std::memory_order_relaxed);
    }
    readers.offline(number);
  }
};

TEST(Published, ThousandGenerationsUnderLoadAreNeverTornNorUsedAfterTheyAreFreed) {
  constexpr uint32_t kReaders = 3;
  constexpr uint64_t kGenerations = 1000;
  Graveyard graveyard;
  Readers readers(kReaders);
  Published<Poisoned> published(readers, graveyard.make(1));
  std::array<Reader, kReaders> state;
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (uint32_t r = 0; r < kReaders; r++) threads.emplace_back([&, r] { state[r].run(r, readers, published, stop); });
  for (Reader& r : state)
    while (r.loops.load() == 0) std::this_thread::yield();
  for (uint64_t g = 2; g <= kGenerations; g++) {
    EXPECT_TRUE(published.publish(graveyard.make(g), 10s).empty()) << "generation " << g;
    EXPECT_EQ(graveyard.freed.load(), g - 1);
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  for (const Reader& r : state) {
    EXPECT_EQ(r.torn, 0u);
    EXPECT_EQ(r.poisoned, 0u);
    EXPECT_EQ(r.backwards, 0u);
    EXPECT_GE(r.last.load(), kGenerations / 2);  // read all along, not only at the start
  }
}

TEST(Published, KeepsTheOldValueForALateReaderAndNamesIt) {
  Graveyard graveyard;
  Readers readers(2);
  Published<Poisoned> published(readers, graveyard.make(1));
  readers.online(0);
  readers.online(1);
  const Poisoned* held = published.read();  // as reader 1, which does not come back
  std::atomic<bool> stop = false;
  std::thread prompt([&] {
    while (!stop.load()) {
      readers.quiescent(0);
      std::this_thread::yield();
    }
    readers.offline(0);
  });
  EXPECT_EQ(published.publish(graveyard.make(2), 50ms), std::vector<uint32_t>{1});
  EXPECT_EQ(published.publish(graveyard.make(3), 50ms), std::vector<uint32_t>{1});
  EXPECT_EQ(held->words[0], 1u);
  EXPECT_EQ(graveyard.freed.load(), 0u);
  EXPECT_EQ(published.reclaim(), 2u);

  readers.quiescent(1);  // it comes back
  EXPECT_EQ(published.publish(graveyard.make(4), 50ms), std::vector<uint32_t>{1});
  readers.quiescent(1);
  EXPECT_EQ(published.reclaim(), 0u);
  EXPECT_EQ(graveyard.freed.load(), 3u);
  stop = true;
  prompt.join();
  readers.offline(1);
}

TEST(Published, DoesNotWaitForAReaderThatIsOffline) {
  Graveyard graveyard;
  Readers readers(1);
  Published<Poisoned> published(readers, graveyard.make(1));
  EXPECT_TRUE(published.publish(graveyard.make(2), 0s).empty());
  EXPECT_EQ(graveyard.freed.load(), 1u);
  readers.online(0);
  readers.offline(0);
  EXPECT_TRUE(published.publish(graveyard.make(3), 0s).empty());
  EXPECT_EQ(published.current()->words[0], 3u);
}

TEST(Published, ControlKeepsWhatItStillHolds) {
  Graveyard graveyard;
  Readers readers(1);
  Published<Poisoned> published(readers, graveyard.make(1));
  const std::shared_ptr<const Poisoned> old = published.current();
  EXPECT_TRUE(published.publish(graveyard.make(2), 0s).empty());
  EXPECT_EQ(old->words[0], 1u);
  EXPECT_EQ(graveyard.freed.load(), 0u);
}

}  // namespace
}  // namespace lb::dpdk
