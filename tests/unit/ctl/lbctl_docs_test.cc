// docs/lbctl.md against the command line itself: every command has its section with every option, every example parses.
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <sstream>

#include "ctl/cmd_decap.h"
#include "ctl/cmd_engine.h"
#include "ctl/cmd_port.h"
#include "ctl/command_line.h"
#include "ctl/nic_host.h"

namespace lb::ctl {
namespace {

std::string page() {
  std::ifstream file(LB_SOURCE_ROOT "/docs/lbctl.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

class NoDecapsulation : public model::Decapsulation {
 public:
  net::Result<model::DecapChange> attach(const std::string&, const model::DecapSettings&, model::Run) override {
    return net::Error{};
  }
  net::Result<model::DecapChange> detach(const std::string&, model::Run) override { return net::Error{}; }
  net::Result<model::DecapState> show(const std::string&) override { return net::Error{}; }
};

class NoOrphans : public model::Orphans {
 public:
  net::Result<model::OrphanState> show(const std::string&) override { return net::Error{}; }
  net::Result<model::OrphanState> detach(const std::string&, model::Force, model::Run) override { return net::Error{}; }
};

struct CommandLine {
  std::istringstream in;
  std::ostringstream out;
  NoDecapsulation decap;
  NoOrphans orphans;
  Session session{Streams{in, out, out}};
  LinuxHost host;  // only parsing happens here
  PortTools tools{host};
  std::unique_ptr<CLI::App> app =
      make_command_line(session, {[this](CLI::App& to, Session& s) { add_port_commands(to, s, tools); },
                                  [this](CLI::App& to, Session& s) { add_engine_commands(to, s, orphans); },
                                  [this](CLI::App& to, Session& s) { add_decap_commands(to, s, decap); }});
};

std::vector<const CLI::App*> subcommands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

// From a heading to the next one of any level. Empty: there is no such heading.
std::string section(const std::string& text, const std::string& heading) {
  const size_t start = text.find("\n" + heading + "\n");
  if (start == std::string::npos) return "";
  return text.substr(start + 1, text.find("\n#", start + 1) - start);
}

void expect_documented(const CLI::App& app, const std::string& path, const std::string& text) {
  for (const CLI::App* sub : subcommands(app)) {
    const std::string name = path + " " + sub->get_name();
    const bool is_noun = path == "lbctl";
    const std::string told = section(text, (is_noun ? "## " : "### ") + name);
    EXPECT_NE(told, "") << name << " has no section";
    for (const CLI::Option* option : sub->get_options()) {
      const std::string flag = option->get_name();  // the last long name
      if (flag.starts_with("--") && flag != "--help") {
        EXPECT_NE(told.find(flag), std::string::npos) << name << " " << flag << " is not told";
      }
    }
    expect_documented(*sub, name, text);
  }
}

TEST(Docs, EveryCommandAndOptionIsDocumented) {
  CommandLine line;
  expect_documented(*line.app, "lbctl", page());
  const std::string options = section(page(), "## Options");
  for (const CLI::Option* option : line.app->get_options()) {
    EXPECT_NE(options.find(option->get_name()), std::string::npos) << option->get_name();
  }
}

TEST(Docs, NoSectionIsOfACommandThatIsNotThere) {
  CommandLine line;
  std::istringstream text(page());
  for (std::string heading; std::getline(text, heading);) {
    const size_t at = heading.find("# lbctl ");
    if (!heading.starts_with("#") || at == std::string::npos) continue;
    std::istringstream words(heading.substr(at + 8));
    const CLI::App* app = line.app.get();
    for (std::string word; words >> word;) {
      const auto subs = subcommands(*app);
      const auto it = std::find_if(subs.begin(), subs.end(), [&](const CLI::App* s) { return s->get_name() == word; });
      ASSERT_NE(it, subs.end()) << heading;
      app = *it;
    }
  }
}

// What stands behind "lbctl" in a line of shell, up to a pipe or redirection; double quotes as the shell takes them.
std::vector<std::vector<std::string>> calls_of(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  bool quoted = false;
  for (const char c : line + " ") {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ' ' && !quoted) {
      if (!word.empty()) words.push_back(word);
      word.clear();
    } else {
      word += c;
    }
  }
  std::vector<std::vector<std::string>> calls;
  bool inside = false;
  for (const std::string& w : words) {
    if (w == "lbctl") {
      calls.emplace_back();
      inside = true;
    } else if (w == "|" || w.starts_with(">")) {
      inside = false;
    } else if (inside) {
      calls.back().push_back(w);
    }
  }
  return calls;
}

TEST(Docs, EveryExampleParsesAndEveryVerbHasOne) {
  std::istringstream text(page());
  std::string seen;
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("$ ")) continue;
    for (const auto& words : calls_of(line.substr(2))) {
      CommandLine parser;
      EXPECT_NO_THROW(parser.app->parse(std::vector<std::string>(words.rbegin(), words.rend()))) << line;
      EXPECT_TRUE(parser.session.action) << line;
      for (const CLI::App* app = parser.app.get(); !app->get_subcommands().empty();) {
        app = app->get_subcommands().front();
        seen += " " + app->get_name();
      }
      seen += ";";
    }
  }
  CommandLine parser;
  for (const CLI::App* noun : subcommands(*parser.app)) {
    for (const CLI::App* verb : subcommands(*noun)) {
      const std::string path = " " + noun->get_name() + " " + verb->get_name() + ";";
      EXPECT_NE(seen.find(path), std::string::npos) << "no example of" << path;
    }
  }
}

}  // namespace
}  // namespace lb::ctl
