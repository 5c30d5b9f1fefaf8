// main() of a fuzz target where libFuzzer is not there (g++): every file of the folders given, then mutations of them.
// Blind, unlike libFuzzer: it finds what a random change of a good input finds.
//   TARGET [-runs=N] [-seed=N] FOLDER...      other options of libFuzzer are ignored
// The seed is printed; the input that broke the target is left in crash-SEED-RUN.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// Read by the signal handler.
const Bytes* running = nullptr;
char crash_name[64] = "crash";

extern "C" void on_crash(int signal) {
  const int fd = ::open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd >= 0 && running != nullptr && ::write(fd, running->data(), running->size()) >= 0) {
    static constexpr char kText[] = "the input is in ";
    (void)!::write(STDERR_FILENO, kText, sizeof(kText) - 1);
    (void)!::write(STDERR_FILENO, crash_name, std::strlen(crash_name));
    (void)!::write(STDERR_FILENO, "\n", 1);
  }
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

class Mutator {
 public:
  Mutator(uint32_t seed, const std::vector<Bytes>& corpus) : random_(seed), corpus_(corpus) {}

  Bytes next() {
    Bytes b = corpus_[below(corpus_.size())];
    for (size_t n = 1 + below(8); n > 0; --n) change(b);
    return b;
  }

 private:
  size_t below(size_t n) { return n == 0 ? 0 : std::uniform_int_distribution<size_t>(0, n - 1)(random_); }
  auto at(Bytes& b, size_t i) { return b.begin() + static_cast<std::ptrdiff_t>(i); }

  void change(Bytes& b) {
    const size_t from = below(b.size()), length = 1 + below(std::min<size_t>(32, b.size() - from));
    switch (below(6)) {
      case 0:
        if (!b.empty()) b[from] = static_cast<uint8_t>(b[from] ^ 1u << below(8));
        break;
      case 1:
        b.insert(at(b, from), static_cast<uint8_t>(below(256)));
        break;
      case 2:
        if (!b.empty()) b.erase(at(b, from), at(b, std::min(from + length, b.size())));
        break;
      case 3:
        copy_from(b, from, b);
        break;
      case 4:
        copy_from(b, from, corpus_[below(corpus_.size())]);
        break;
      default:
        b.resize(below(b.size() + 1));
        break;
    }
  }
  // A piece of another input (or of the same one) in the middle of this one.
  void copy_from(Bytes& b, size_t to, const Bytes& other) {
    if (other.empty()) return;
    const size_t from = below(other.size());
    const size_t length = 1 + below(std::min<size_t>(64, other.size() - from));
    const Bytes piece(other.begin() + static_cast<std::ptrdiff_t>(from),
                      other.begin() + static_cast<std::ptrdiff_t>(from + length));
    b.insert(at(b, to), piece.begin(), piece.end());
  }

  std::mt19937 random_;
  const std::vector<Bytes>& corpus_;
};

void run(const Bytes& b, uint32_t seed, size_t index) {
  running = &b;
  std::snprintf(crash_name, sizeof(crash_name), "crash-%u-%zu", seed, index);
  // A copy of exactly its size, so that a sanitizer sees the byte after the end.
  const Bytes exact(b);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<Bytes> read_folder(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> out;
  for (const auto& path : paths) {
    std::ifstream in(path, std::ios::binary);
    out.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  size_t runs = 2000;
  auto seed = static_cast<uint32_t>(std::random_device{}());
  std::vector<Bytes> corpus{{}};  // the empty input is always one
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    if (arg.starts_with("-runs=")) runs = std::strtoull(argv[i] + 6, nullptr, 10);
    if (arg.starts_with("-seed=")) seed = static_cast<uint32_t>(std::strtoul(argv[i] + 6, nullptr, 10));
    if (arg.starts_with("-")) continue;
    for (Bytes& b : read_folder(argv[i])) corpus.push_back(std::move(b));
  }
  std::printf("%zu inputs, %zu mutations, seed %u\n", corpus.size(), runs, seed);
  std::fflush(stdout);
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) ::signal(signal, on_crash);
  size_t index = 0;
  for (const Bytes& b : corpus) run(b, seed, index++);
  Mutator mutator(seed, corpus);
  for (size_t i = 0; i < runs; ++i) run(mutator.next(), seed, index++);
  std::printf("done\n");
  return 0;
}
