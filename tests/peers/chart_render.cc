// For tests/peers/helm_test.py: renders a chart folder with our engine and prints the objects as
// one JSON list.
//
// usage: chart_render FOLDER RELEASE NAMESPACE VALUES.yaml [KUBE_VERSION]
//        chart_render --read FILE.yaml      its documents as one JSON list
#include <cstdio>
#include <fstream>
#include <sstream>

#include "chart/chart.h"
#include "data/yaml.h"

namespace lateen::chart {
namespace {

Result<std::string> read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return errno_error("reading " + path, errno);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Result<std::string> run(int argc, char** argv) {
  data::JsonArray out;
  if (argc == 3 && std::string_view(argv[1]) == "--read") {
    for (Json& each : TRY(data::parse_yaml_documents(TRY(read(argv[2])))))
      out.push_back(std::move(each));
    return data::dump_json(out);
  }
  if (argc < 5)
    return invalid("usage: chart_render FOLDER RELEASE NAMESPACE VALUES [KUBE_VERSION]");
  Json values = TRY(data::parse_yaml(TRY(read(argv[4]))).at(argv[4]));
  if (values.is_null()) values = data::JsonObject();
  const Chart chart = TRY(Chart::from_directory(argv[1]));
  RenderOptions options;
  options.release = {argv[2], argv[3]};
  if (argc > 5) options.kube_version = argv[5];
  for (Rendered& each : TRY(chart.render(values, options))) out.push_back(std::move(each.object));
  return data::dump_json(out);
}

}  // namespace
}  // namespace lateen::chart

int main(int argc, char** argv) {
  const auto out = lateen::chart::run(argc, argv);
  if (!out.ok()) return std::fprintf(stderr, "%s\n", out.error().message().c_str()), 1;
  std::puts(out->c_str());
  return 0;
}
