// Charts: values, helpers, subcharts, files, order.
#include "chart/chart.h"

#include <gtest/gtest.h>

#include "data/yaml.h"

namespace lateen::chart {
namespace {

Json yaml(std::string_view text) { return data::parse_yaml(text).value(); }

Chart::Files web_chart() {
  return {
      {"Chart.yaml",
       "apiVersion: v2\nname: web\nversion: 1.2.3\nappVersion: \"7\"\ndependencies:\n- {name: db, "
       "condition: db.enabled}\n"},
      {"values.yaml",
       "replicas: 1\nimage: {repo: x, tag: y}\nglobal: {hub: h}\ndb: {enabled: true, size: 1}\n"},
      {"templates/_helpers.tpl",
       "{{- define \"web.name\" -}}{{ .Release.Name }}-{{ .Chart.Name }}{{- end -}}"},
      {"templates/deployment.yaml",
       "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{ include \"web.name\" . }}\n  "
       "namespace: {{ .Release.Namespace }}\n"
       "spec:\n  replicas: {{ .Values.replicas }}\n  image: {{ .Values.image.repo }}:{{ "
       ".Values.image.tag }}\n"
       "  v: {{ .Chart.AppVersion | quote }}\n  new: {{ .Capabilities.APIVersions.Has \"apps/v1\" "
       "}}\n"},
      {"templates/config.yaml",
       "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata:\n  text: {{ .Files.Get "
       "\"files/a.txt\" | quote }}\n"
       "{{ (.Files.Glob \"files/*\").AsConfig | indent 2 }}\n---\n{{ if false }}x{{ end }}\n"},
      {"templates/NOTES.txt", "{{ broken"},
      {"files/a.txt", "hello"},
      {"crds/c.yaml",
       "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: "
       "c}\n"},
      {"charts/db/Chart.yaml", "name: db\nversion: 0.1.0\n"},
      {"charts/db/values.yaml", "size: 9\nmode: m\n"},
      {"charts/db/templates/s.yaml",
       "apiVersion: v1\nkind: Service\nmetadata: {name: db, labels: {size: {{ .Values.size | quote "
       "}}, mode: {{ .Values.mode }}, hub: {{ .Values.global.hub }}}}\n"}};
}

TEST(Chart, RendersObjectsInInstallOrder) {
  auto chart = Chart::from_files(web_chart());
  ASSERT_TRUE(chart.ok()) << chart.error().message();
  auto out = chart->render(yaml("{replicas: 3, image: {tag: z}}"), {{"rel", "ns1"}});
  ASSERT_TRUE(out.ok()) << out.error().message();
  std::vector<std::string> kinds;
  for (const auto& each : *out) kinds.emplace_back(data::get_string(each.object, {"kind"}));
  EXPECT_EQ(kinds, (std::vector<std::string>{"ConfigMap", "CustomResourceDefinition", "Service",
                                             "Deployment"}));
  EXPECT_EQ(data::dump_yaml((*out)[3].object),
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: rel-web\n  namespace: "
            "ns1\nspec:\n  image: x:z\n  new: true\n"
            "  replicas: 3\n  v: \"7\"\n");
  EXPECT_EQ(data::get_string((*out)[0].object, {"data", "a.txt"}), "hello");
  EXPECT_EQ(data::dump_json(*data::find((*out)[2].object, {"metadata", "labels"})),
            R"({"size":"1","mode":"m","hub":"h"})");
}

TEST(Chart, ConditionsSwitchSubchartsOff) {
  const auto chart = Chart::from_files(web_chart());
  const auto out = chart.value().render(yaml("db: {enabled: false}"), {{"rel", "ns1"}});
  for (const auto& each : out.value())
    EXPECT_NE(data::get_string(each.object, {"kind"}), "Service");
}

TEST(Chart, NullRemovesADefaultAndListsAreReplaced) {
  Json values = yaml("a: {b: 1, c: [1, 2]}\nd: 1");
  merge_values(values, yaml("a: {b: null, c: [3]}\ne: {f: 2}"));
  EXPECT_EQ(data::dump_json(values), R"({"a":{"c":[3]},"d":1,"e":{"f":2}})");
}

// What the chart has no default for keeps its null, and a template that merges it sees it.
TEST(Chart, NullStaysWhereThereIsNoDefault) {
  Chart::Files files{
      {"Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"},
      {"values.yaml", "a: {b: 1}\ndefaults: {x: {y: 1}, z: 2}\n"},
      {"templates/a.yaml",
       "kind: ConfigMap\ndata:\n"
       "  values: {{ omit .Values \"defaults\" | toJson | squote }}\n"
       "  over: {{ mergeOverwrite .Values.defaults (dict \"x\" .Values.x) | toJson | squote }}\n"
       "  under: {{ merge (dict \"x\" nil) (dict \"x\" 1 \"n\" nil) | toJson | squote }}\n"}};
  const auto chart = Chart::from_files(files);
  ASSERT_TRUE(chart.ok());
  const auto out = chart->render(yaml("{a: {b: null, n: null}, x: null}"), {{"rel", "ns1"}});
  ASSERT_TRUE(out.ok()) << out.error().message();
  ASSERT_EQ(out->size(), 1u);
  const auto& object = (*out)[0].object;
  EXPECT_EQ(data::get_string(object, {"data", "values"}), R"({"a":{"n":null},"x":null})");
  EXPECT_EQ(data::get_string(object, {"data", "over"}), R"({"x":null,"z":2})");
  EXPECT_EQ(data::get_string(object, {"data", "under"}), R"({"x":1})");
}

// A template may change .Values for those that run after it: the last by name runs first.
TEST(Chart, TemplatesRunInHelmsOrder) {
  Chart::Files files{{"Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n"},
                     {"values.yaml", "a: default\n"},
                     {"templates/zzz.yaml", "{{- $_ := set .Values \"a\" \"changed\" }}"},
                     {"templates/a.yaml", "kind: ConfigMap\nmetadata: {name: {{ .Values.a }}}\n"}};
  const auto chart = Chart::from_files(files);
  ASSERT_TRUE(chart.ok());
  const auto out = chart->render(yaml("{}"), {{"rel", "ns1"}});
  ASSERT_TRUE(out.ok());
  ASSERT_EQ(out->size(), 1u);
  EXPECT_EQ(data::get_string((*out)[0].object, {"metadata", "name"}), "changed");
}

TEST(Chart, AnAliasIsTheChartsName) {
  Chart::Files files{
      {"Chart.yaml",
       "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies:\n- {name: d, alias: twin}\n"},
      {"charts/d/Chart.yaml", "apiVersion: v2\nname: d\nversion: 1.0.0\n"},
      {"charts/d/templates/a.yaml", "kind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}}\n"}};
  const auto chart = Chart::from_files(files);
  ASSERT_TRUE(chart.ok());
  const auto out = chart->render(yaml("{}"), {{"rel", "ns1"}});
  ASSERT_TRUE(out.ok());
  EXPECT_EQ(data::get_string((*out)[0].object, {"metadata", "name"}), "twin");
}

TEST(Chart, SetsPathsAsHelmDoes) {
  Json values = yaml("{}");
  ASSERT_TRUE(set_path(values, "a.b\\.c[1].d", 5).ok());
  EXPECT_EQ(data::dump_json(values), R"({"a":{"b.c":[null,{"d":5}]}})");
  EXPECT_FALSE(set_path(values, "a[x]", 1).ok());
  EXPECT_FALSE(set_path(values, "a[99999999]", 1).ok());
}

TEST(Chart, ErrorsNameTheFile) {
  auto files = web_chart();
  files["templates/bad.yaml"] = "a: b: c\n";
  const auto out = Chart::from_files(files).value().render(yaml("{}"), {{"rel", "ns1"}});
  ASSERT_FALSE(out.ok());
  EXPECT_NE(out.error().message().find("web/templates/bad.yaml"), std::string::npos)
      << out.error().message();
  files.erase("Chart.yaml");
  EXPECT_FALSE(Chart::from_files(files).ok());
}

}  // namespace
}  // namespace lateen::chart
