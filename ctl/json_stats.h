// Counters of workers, read and summed.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "dataplane/model/engine.h"

namespace lb::ctl {

std::vector<model::WorkerCounters> read_workers(model::Engine& engine);
model::CounterArray totals(const std::vector<model::WorkerCounters>& workers);
nlohmann::json workers_json(const std::vector<model::WorkerCounters>& workers);  // {workers, totals, balanced}

nlohmann::json port_json(const model::PortCounters& port);  // as in stats.ports

}  // namespace lb::ctl
