#include "ctl/log.h"

#include <gtest/gtest.h>

namespace lb::ctl {
namespace {

TEST(Log, QuotesWhatIsNotPlain) {
  EXPECT_EQ(log_line(LogLevel::kInfo, "changed", {{"uid", 0}, {"reason", ""}, {"file", "/a/b.yaml"}}),
            "level=info event=changed uid=0 reason=\"\" file=/a/b.yaml");
  EXPECT_EQ(log_line(LogLevel::kError, "x", {{"why", "a \"b\"\\\nc=\x01"}}),
            "level=error event=x why=\"a \\\"b\\\"\\\\\\nc=\\x01\"");
}

TEST(Log, GoesToTheSinkAndSparesDebug) {
  std::string seen;
  LogSink before = set_log_sink([&](LogLevel, const std::string& line) { seen += line; });
  log(LogLevel::kWarning, "one");
  log(LogLevel::kDebug, "two");
  set_log_sink(before);
  EXPECT_EQ(seen, "level=warning event=one");
}

}  // namespace
}  // namespace lb::ctl
