// The objects with methods that a chart's templates see: .Files and .Capabilities.
#pragma once

#include "chart/chart.h"
#include "chart/value.h"

namespace lateen::chart {

Value make_files(std::shared_ptr<const Chart::Files> files);
Value make_capabilities(const RenderOptions& options);

}  // namespace lateen::chart
