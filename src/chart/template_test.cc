// The language: what text/template's documentation and sprig's promise, case by case.
#include "chart/template.h"

#include <gtest/gtest.h>

#include "data/yaml.h"

namespace lateen::chart {
namespace {

data::Json yaml(std::string_view text) { return data::parse_yaml(text).value(); }

std::string render(std::string_view source, std::string_view data = "{}",
                   TemplateOptions options = {}) {
  TemplateSet set(options);
  if (auto added = set.add("t", source); !added) return "ERROR " + added.error().message();
  auto out = set.render("t", yaml(data));
  return out ? *out : "ERROR " + out.error().message();
}

struct Case {
  std::string_view source;
  std::string_view want;
};

constexpr std::string_view kData = R"(
name: web
port: 8080
ratio: 0.5
big: 1000000
on: true
empty: ""
list: [a, b, c]
numbers: [3, 1, 2]
map: {b: 2, a: 1}
deep: {x: {y: z}}
nothing: null
items:
- {name: one, ports: [1, 2]}
- {name: two, ports: []}
)";

class Language : public testing::TestWithParam<Case> {};

TEST_P(Language, GivesTheTextThatGoGives) {
  EXPECT_EQ(render(GetParam().source, kData), GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Actions, Language,
    testing::Values(
        Case{"a{{ .name }}b", "awebb"}, Case{"a {{- .name -}} b", "awebb"},
        Case{"a {{ /* no */ }}{{- /* gone */ -}} b",
             "ERROR template: t:1:6: unexpected '/' in action"},
        Case{"a {{/* gone */}} b", "a  b"}, Case{"a {{- /* gone */ -}} b", "ab"},
        Case{"{{ .missing }}|{{ .nothing }}", "|"},
        Case{"{{ ((.missing).x).y }}|{{ $n := .nothing }}{{ $n.x.y }}", "|"},
        Case{"{{ urlquery \"a b&c\" }} {{ js \"it's <\" }}", "a+b%26c it\\'s \\u003C"},
        Case{"{{ dict \"a\" 12.5 \"b\" 1e-7 | toJson }}", R"({"a":12.5,"b":1e-7})"},
        Case{"{{ dict \"a\" 12.5 \"b\" 1e-7 | toYaml }}", "a: 12.5\nb: 1e-07"},
        Case{"{{ .deep.x.y }}{{ (.deep).x.y }}{{ $.name }}", "zzweb"},
        Case{"{{ .port }} {{ .ratio }} {{ .big }} {{ .on }}", "8080 0.5 1000000 true"},
        Case{"{{ .list }} {{ .map }}", "[a b c] map[a:1 b:2]"},
        Case{"{{ if .empty }}x{{ else if .on }}y{{ else }}z{{ end }}", "y"},
        Case{"{{ if not .on }}x{{ else }}z{{ end }}", "z"},
        Case{"{{ with .deep }}{{ .x.y }}{{ $.name }}{{ end }}", "zweb"},
        Case{"{{ with .nothing }}x{{ else with .name }}{{ . }}{{ else }}n{{ end }}", "web"},
        Case{"{{ range .list }}{{ . }},{{ end }}", "a,b,c,"},
        Case{"{{ range $i, $x := .list }}{{ $i }}{{ $x }} {{ end }}", "0a 1b 2c "},
        Case{"{{ range $k, $v := .map }}{{ $k }}={{ $v }} {{ end }}", "a=1 b=2 "},
        Case{"{{ range $x := .nothing }}x{{ else }}none{{ end }}", "none"},
        Case{"{{ range 3 }}{{ . }}{{ end }}", "012"},
        Case{"{{ range .list }}{{ if eq . \"b\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "ac"},
        Case{"{{ range .list }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "a"},
        Case{"{{ $x := 1 }}{{ if .on }}{{ $x = 2 }}{{ $x := 3 }}{{ end }}{{ $x }}", "2"},
        Case{
            "{{ range .items }}{{ .name }}{{ range .ports }}:{{ . }}{{ else }}-{{ end }} {{ end }}",
            "one:1:2 two- "},
        Case{"{{ define \"x\" }}<{{ . }}>{{ end }}{{ template \"x\" .name }}{{ include \"x\" 1 | "
             "upper }}",
             "<web><1>"},
        Case{"{{ block \"b\" .name }}[{{ . }}]{{ end }}", "[web]"},
        Case{"{{ printf \"%s-%d-%v-%q-%5.2f-%05d-%x\" .name .port .list .name .ratio 42 255 }}",
             "web-8080-[a b c]-\"web\"- 0.50-00042-ff"},
        Case{"{{ printf \"%d\" .name }} {{ printf \"%s\" }} {{ printf \"a\" 1 }}",
             "%!d(string=web) %!s(MISSING) a%!(EXTRA int=1)"},
        Case{"{{ 'a' }} {{ 0x1F }} {{ 1e3 }} {{ \"\\u00e9\\n\" | quote }} {{ `raw\\n` }}",
             "97 31 1000 \"é\\n\" raw\\n"},
        Case{"{{ index .list 1 }} {{ index .map \"a\" }} {{ index .items 0 \"name\" }} {{ slice "
             ".name 1 3 }}",
             "b 1 one eb"},
        Case{"{{ len .list }}{{ len .name }}{{ len .map }}", "332"},
        Case{"{{ and .on .name }} {{ or .empty .nothing \"x\" }} {{ and .empty (fail \"no\") }}",
             "web x "},
        Case{"{{ eq .name \"x\" \"web\" }} {{ ne 1 2 }} {{ lt 1 2 }} {{ ge .port 8080 }} {{ gt 1.5 "
             "1 }}",
             "true true true true true"},
        Case{"{{ .list | len | printf \"%d items\" }}", "3 items"},
        Case{"{{- range $i := until 2 }}\n- {{ $i }}\n{{- end }}", "\n- 0\n- 1"}));

INSTANTIATE_TEST_SUITE_P(
    Functions, Language,
    testing::Values(
        Case{"{{ default 1 .empty }}{{ .name | default 2 }}{{ .nothing | default dict | len }}",
             "1web0"},
        Case{"{{ ternary \"y\" \"n\" .on }}{{ coalesce .nothing .empty 7 }}{{ empty .list }}",
             "y7false"},
        Case{"{{ toYaml .items }}",
             "- name: one\n  ports:\n  - 1\n  - 2\n- name: two\n  ports: []"},
        Case{"{{ toYaml .map | nindent 2 }}", "\n  a: 1\n  b: 2"},
        Case{
            "{{ toJson .map }} {{ (fromJson `{\"a\":[1]}`).a }} {{ (fromYaml \"x: {y: 1}\").x.y }}",
            "{\"a\":1,\"b\":2} [1] 1"},
        Case{"{{ quote .name 1 .nothing }} {{ squote .name }} {{ trimSuffix \"b\" .name }} {{ "
             "replace \"e\" \"E\" .name }}",
             "\"web\" \"1\" 'web' we wEb"},
        Case{"{{ contains \"e\" .name }}{{ hasPrefix \"w\" .name }}{{ hasSuffix \"x\" .name }}",
             "truetruefalse"},
        Case{"{{ (split \".\" \"a.b\")._1 }} {{ splitList \",\" \"a,b\" | last }} {{ join \"-\" "
             ".list }}",
             "b b a-b-c"},
        Case{"{{ upper .name }} {{ title \"ab cd\" }} {{ trunc 2 .name }} {{ trunc -2 .name }} {{ "
             "substr 1 2 .name }}",
             "WEB Ab Cd we eb e"},
        Case{"{{ kindIs \"map\" .map }} {{ kindOf .list }} {{ typeOf .name }} {{ kindIs "
             "\"float64\" .port }}",
             "true slice string true"},
        Case{"{{ $d := dict \"a\" 1 }}{{ $_ := set $d \"b\" 2 }}{{ $_ := unset $d \"a\" }}{{ $d }} "
             "{{ hasKey $d \"b\" }} {{ get $d \"z\" }}",
             "map[b:2] true "},
        Case{"{{ $d := dict \"a\" (dict \"x\" 1) }}{{ merge $d (dict \"a\" (dict \"x\" 2 \"y\" 3)) "
             "}}",
             "map[a:map[x:1 y:3]]"},
        Case{"{{ mergeOverwrite (dict \"a\" true) (dict \"a\" false) }}{{ mustMergeOverwrite "
             "(dict) (dict \"q\" 1) }}",
             "map[a:false]map[q:1]"},
        Case{"{{ keys .map | sortAlpha | join \",\" }} {{ values .map }} {{ pick .map \"a\" }} {{ "
             "omit .map \"a\" }}",
             "a,b [1 2] map[a:1] map[b:2]"},
        Case{"{{ list 1 2 | first }}{{ rest .list }}{{ append .list \"d\" }}{{ prepend .list \"z\" "
             "}}",
             "1[b c][a b c d][z a b c]"},
        Case{"{{ concat .list (list 1) }}{{ uniq (list 1 1 2) }}{{ has \"b\" .list }}{{ without "
             ".list \"a\" }}",
             "[a b c 1][1 2]true[b c]"},
        Case{"{{ add 1 2 3 }} {{ sub 5 2 }} {{ mul 2 3 }} {{ div 7 2 }} {{ mod 7 2 }} {{ max 1 3 2 "
             "}} {{ min 4 2 }}",
             "6 3 6 3 1 3 2"},
        Case{"{{ ceil 1.2 }} {{ floor 1.8 }} {{ round 1.25 1 }} {{ int \"12\" }} {{ int64 1.9 }} "
             "{{ atoi \"7\" }} {{ float64 \"1.5\" }}",
             "2 1 1.3 12 1 7 1.5"},
        Case{"{{ b64enc \"hi\" }} {{ b64dec \"aGk=\" }} {{ sha256sum \"\" | trunc 8 }}",
             "aGk= hi e3b0c442"},
        Case{"{{ semverCompare \">=1.20-0\" \"v1.32.0\" }} {{ semverCompare \"^1.2.3\" \"2.0.0\" "
             "}} {{ semverCompare \"~1.2 || 3.x\" \"3.4.5\" }} {{ semverCompare \">1.0 <2\" "
             "\"1.5.0-rc1\" }}",
             "true false true false"},
        Case{"{{ regexMatch \"^w.b$\" .name }} {{ regexReplaceAll \"(e)\" .name \"<$1>\" }} {{ "
             "regexFind \"[0-9]+\" \"ab12c\" }}",
             "true w<e>b 12"},
        Case{"{{ tpl \"{{ .name }}!\" . }} {{ cat \"a\" 1 }} {{ repeat 3 \"x\" }} {{ untilStep 0 6 "
             "2 }}",
             "web! a 1 xxx [0 2 4]"},
        Case{"{{ dig \"x\" \"y\" \"no\" .deep }}{{ dig \"x\" \"q\" \"no\" .deep }} {{ pluck \"a\" "
             ".map .map }}",
             "zno [1 1]"},
        Case{"{{ lookup \"v1\" \"Pod\" \"a\" \"b\" }} {{ print 1 2 \"x\" 3 }}", "map[] 1 2x3"},
        Case{"{{ indent 2 \"a\\nb\" }} {{ snakecase \"fooBar\" }} {{ kebabcase \"FooBar\" }} {{ "
             "toString 1.5 }}",
             "  a\n  b foo_bar foo-bar 1.5"}));

TEST(Errors, TellFileLineColumnAndWhatToDo) {
  EXPECT_EQ(render("a\n{{ .name "),
            "ERROR template: t:2:10: unclosed action: write }} to close the {{ before it");
  EXPECT_EQ(render("{{ if .x }}"),
            "ERROR template: t:1:4: unexpected EOF: the {{if}} that starts here has no {{end}}");
  EXPECT_EQ(render("x\n  {{ nope 1 }}"),
            "ERROR template: t:2:6: function \"nope\" not defined: check its spelling, or quote it "
            "if it is text");
  EXPECT_EQ(render("{{ $x }}"),
            "ERROR template: t:1:4: undefined variable \"$x\": declare it with := in this block or "
            "one around it");
  EXPECT_EQ(render("{{ end }}"), "ERROR template: t:1:10: unexpected {{end}}: no block is open");
  EXPECT_EQ(render("{{ .a.b.c }}"),
            "ERROR template: t:1:4: executing \"t\" at <.a.b.c>: nil pointer evaluating interface "
            "{}.b: the value before .b is not set; "
            "guard it with `with`, `if` or `default dict`");
  EXPECT_EQ(render("{{ required \"name is needed\" .x }}"),
            "ERROR template: t:1:4: executing \"t\" at <required \"name is needed\" .x>: error "
            "calling required: name is needed");
  EXPECT_EQ(render("{{ eq 1 \"a\" }}"),
            "ERROR template: t:1:4: executing \"t\" at <eq 1 \"a\">: error calling eq: "
            "incompatible types for comparison: int64 and string");
  EXPECT_EQ(render("{{ break }}"), "ERROR template: t:1:4: {{break}} outside {{range}}");
}

TEST(Bounds, EndHostileTemplates) {
  TemplateOptions tight;
  tight.most_steps = 10'000;
  tight.most_output_bytes = 1u << 20;
  EXPECT_NE(render("{{ define \"x\" }}{{ include \"x\" . }}{{ end }}{{ include \"x\" . }}")
                .find("does it include itself?"),
            std::string::npos);
  EXPECT_NE(render("{{ range 100000000000 }}{{ end }}", "{}", tight).find("did not end within"),
            std::string::npos);
  EXPECT_NE(render("{{ range 100000 }}{{ repeat 100000 \"x\" }}{{ end }}", "{}", tight)
                .find("bytes of text"),
            std::string::npos);
  EXPECT_NE(
      render("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ toYaml $d }}").find("put into itself"),
      std::string::npos);
  EXPECT_NE(render(std::string("{{ ") + std::string(500, '(') + "1" + std::string(500, ')') + " }}")
                .find("nested too deep"),
            std::string::npos);
}

TEST(StructLike, ReadsGoFieldNamesOfJson) {
  TemplateOptions options;
  options.is_struct_like = true;
  const std::string_view data = R"(
Spec: {containers: [{name: a, ports: [{containerPort: 1}]}], dnsPolicy: ClusterFirst, hostNetwork: true}
ObjectMeta: {labels: {app: x}, annotations: null}
ProxyConfig: {concurrency: 2, interceptionMode: REDIRECT, tracing: {zipkin: {address: z}}}
)";
  EXPECT_EQ(
      render("{{ (index .Spec.Containers 0).Name }} {{ .Spec.DNSPolicy }} {{ .Spec.HostNetwork }}",
             data, options),
      "a ClusterFirst true");
  EXPECT_EQ(
      render("{{ .ProxyConfig.Concurrency.GetValue }} {{ .ProxyConfig.InterceptionMode.String }} "
             "{{ .ProxyConfig.GetTracing.GetZipkin.GetAddress }}",
             data, options),
      "2 REDIRECT z");
  EXPECT_EQ(render("{{ if gt .ProxyConfig.Missing.GetValue 0 }}x{{ end }}{{ "
                   ".Spec.SecurityContext.FSGroup }}|",
                   data, options),
            "|");
  EXPECT_EQ(render("{{ if ne \"\" (index .ObjectMeta.Labels \"app\") }}app{{ end }}{{ if ne \"\" "
                   "(index .ObjectMeta.Labels \"no\") }}no{{ end }}",
                   data, options),
            "app");
  EXPECT_EQ(render("{{ index .ObjectMeta.Annotations `a/b` | default \"d\" }}{{ isset "
                   ".ObjectMeta.Annotations `a` }}",
                   data, options),
            "dfalse");
}

TEST(Custom, FunctionsTakeAndGiveJson) {
  TemplateSet set;
  set.add_function("annotation", [](const std::vector<data::Json>& a) -> Result<data::Json> {
    if (a.size() != 3) return invalid("annotation takes three arguments");
    const auto* found = data::find(a[0], {"annotations", data::as_string(a[1])});
    return found != nullptr ? *found : a[2];
  });
  ASSERT_TRUE(
      set.add("t", "{{ annotation .meta `x` 1 }} {{ annotation .meta `y` `none` | upper }}").ok());
  EXPECT_EQ(set.render("t", yaml("meta: {annotations: {x: here}}")).value(), "here NONE");
  ASSERT_TRUE(set.add("bad", "{{ annotation 1 }}").ok());
  EXPECT_EQ(set.render("bad", yaml("{}")).error().message(),
            "template: bad:1:4: executing \"bad\" at <annotation 1>: error calling annotation: "
            "annotation takes three arguments");
}

}  // namespace
}  // namespace lateen::chart
