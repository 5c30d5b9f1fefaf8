#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/ctl/fakes.h"

namespace lb::ctl {

inline model::Config test_config(const std::string& text = kDocument) {
  model::Parsed parsed = model::parse_config(text, "test.yaml", model::no_includes());
  for (const model::Problem& p : parsed.problems) ADD_FAILURE() << p.to_string();
  return parsed.config;
}

}  // namespace lb::ctl
