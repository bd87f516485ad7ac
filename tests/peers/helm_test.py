"""Stock Helm and our engine render the same objects: from our charts, and from Istio's own.

Helm is looked for in $LATEEN_HELM, PATH and /work/peers/bin (`go install helm.sh/helm/v3/cmd/helm@v3.16.4` makes it).
Istio's charts are those of a checkout at $LATEEN_ISTIO_DIR, or of a bare copy at $LATEEN_ISTIO_MIRROR. What is missing is skipped by name.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import harness

CHARTS = os.path.join(harness.ROOT, "charts")
OURS = os.path.join(os.path.dirname(harness.BIN), "tests", "chart_render")
KUBE_VERSION = "v1.32.0"
NAMESPACE = "istio-system"
HELM = None


def setup():
    global HELM
    places = [os.environ.get("LATEEN_HELM"), shutil.which("helm"), "/work/peers/bin/helm"]
    HELM = next((p for p in places if p and os.access(p, os.X_OK)), None)
    if HELM is None:
        raise unittest.SkipTest("helm is not on this machine (see tests/peers/helm_test.py)")
    if not os.access(OURS, os.X_OK):
        raise AssertionError(f"{OURS} is not built: ninja chart_render")


def merged(*layers):
    out = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            both = isinstance(value, dict) and isinstance(out.get(key), dict)
            out[key] = merged(out[key], value) if both else value
    return out


def read_yaml(text):
    """All documents, by our own reader: it keeps to YAML 1.2's booleans, as Kubernetes' readers do."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(text)
        file.flush()
        return json.loads(harness.run([OURS, "--read", file.name]).stdout)


def profile_values(name):
    """What the installer makes of a profile for the charts: its values, with the mesh config among them."""
    specs = [read_yaml(open(os.path.join(CHARTS, "profiles", f"{p}.yaml")).read())[0]["spec"] for p in ("default", name)]
    spec = merged(*specs)
    return merged({"global": {"hub": spec.get("hub", "docker.io/istio"), "tag": spec.get("tag", "1.24.0")}},
                  {"meshConfig": spec.get("meshConfig", {})}, spec.get("values", {}))


GATEWAYS = ("istio-ingressgateway", "istio-egressgateway")


def for_gateways(values):
    return {"gateways": {name: values for name in GATEWAYS}}


# Each is laid over a chart's own values.
VALUES = {
    "nothing": {},
    "a revision": {"revision": "1-9-1", "ownerName": "installed-state"},
    "no autoscaling": merged({"pilot": {"autoscaleEnabled": False, "replicaCount": 3}},
                             for_gateways({"autoscaleEnabled": False, "replicaCount": 2})),
    "autoscaling by memory": merged({"pilot": {"autoscaleMin": 2, "autoscaleMax": 9, "memory": {"targetAverageUtilization": 70}}},
                                    for_gateways({"autoscaleMin": 2, "autoscaleMax": 4, "memory": {"targetAverageUtilization": 60}})),
    "more ports": for_gateways({"ports": [{"port": 15021, "targetPort": 15021, "name": "status-port"},
                                          {"port": 9000, "targetPort": 9000, "name": "tcp-extra", "nodePort": 31900},
                                          {"port": 80, "targetPort": 8080, "name": "http2"}],
                                "type": "NodePort", "ingressPorts": [{"port": 7777, "targetPort": 7777, "name": "more"}]}),
    "another image": {"global": {"hub": "registry.example.com:5000/mesh", "tag": 1.9, "imagePullPolicy": "Always",
                                 "imagePullSecrets": ["one", "two"]},
                      "pilot": {"image": "registry.example.com/pilot:x"}, "hub": "example.com/o", "tag": "2"},
    "tracing": {"meshConfig": {"enableTracing": True,
                               "defaultConfig": {"tracing": {"sampling": 12.5, "zipkin": {"address": "zipkin.istio-system:9411"}}},
                               "extensionProviders": [{"name": "otel", "opentelemetry": {"service": "otel.obs.svc", "port": 4317}}]},
                "global": {"tracer": {"zipkin": {"address": "zipkin.istio-system:9411"}}}, "pilot": {"traceSampling": 0.5}},
    "places": merged({"pilot": {"nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
                                "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                                "podAnnotations": {"note": "it's \"quoted\": yes"}, "podLabels": {"team": "on"}}},
                     for_gateways({"nodeSelector": {"zone": "1"}, "tolerations": [{"operator": "Exists"}],
                                   "podAnnotations": {"a": "1"}, "serviceAnnotations": {"b": "true"},
                                   "loadBalancerIP": "203.0.113.9", "loadBalancerSourceRanges": ["10.0.0.0/8"],
                                   "externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.10"]})),
    "environment": merged({"pilot": {"env": {"PILOT_ENABLE_X": "true", "NUMBER": 7, "EMPTY": ""},
                                     "extraContainerArgs": ["--log_output_level=ads:debug"]}},
                          for_gateways({"env": {"ISTIO_META_X": "1", "Y": 2}, "runAsRoot": True,
                                        "secretVolumes": [{"name": "s", "secretName": "x", "mountPath": "/x"}],
                                        "configVolumes": [{"name": "c", "configMapName": "y", "mountPath": "/y"}],
                                        "additionalContainers": [{"name": "extra", "image": "busybox", "args": ["sleep", "1d"]}]})),
    "many clusters": {"global": {"multiCluster": {"enabled": True, "clusterName": "east"}, "network": "net-1", "meshID": "mesh-1",
                                 "meshNetworks": {"net-1": {"endpoints": [{"fromRegistry": "east"}],
                                                            "gateways": [{"address": "1.2.3.4", "port": 15443}]}},
                                 "trustDomain": "example.org", "caAddress": "ca.example.org:15012"}},
    "injection": {"sidecarInjectorWebhook": {"enableNamespacesByDefault": True, "rewriteAppHTTPProbe": False,
                                             "neverInjectSelector": [{"matchExpressions": [{"key": "x", "operator": "Exists"}]}],
                                             "alwaysInjectSelector": [{"matchLabels": {"y": "z"}}],
                                             "injectedAnnotations": {"k": "v"}, "templates": {"extra": "metadata:\n  labels:\n    a: b\n"},
                                             "defaultTemplates": ["sidecar", "extra"]}},
    "sizes": merged({"pilot": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": 2}}, "rollingMaxSurge": 1,
                               "rollingMaxUnavailable": "50%"},
                     "global": {"defaultResources": {"requests": {"cpu": "5m"}}, "proxy": {"resources": {"requests": {"cpu": "1m"}}},
                                "priorityClassName": "system-cluster-critical", "logAsJson": True,
                                "logging": {"level": "all:debug"}, "defaultPodDisruptionBudget": {"enabled": False}}},
                    for_gateways({"resources": {"requests": {"cpu": "10m", "memory": "40Mi"}}})),
    "switched off": {"global": {"configValidation": False, "omitSidecarInjectorConfigMap": True, "operatorManageWebhooks": True,
                                "oneNamespace": True}, "telemetry": {"enabled": False}, "pilot": {"configMap": False},
                     "watchedNamespaces": "", "operator": {"monitoring": {"port": 9999}}},
    # A null takes a default away.
    "removed defaults": merged({"pilot": {"resources": None, "nodeSelector": None}, "global": {"defaultResources": None}},
                               for_gateways({"resources": None, "labels": {"istio": "other"}})),
    "odd names": {"global": {"istioNamespace": "mesh"}, "meshConfig": {"rootNamespace": "roots", "trustDomain": "ünï.example",
                                                                       "note": "a: b # c\n- d\n", "number": 12345678901234, "float": 1e-7}},
}
PROFILES = ("default", "demo", "minimal", "empty", "preview")


def all_values():
    out = dict(VALUES)
    for name in PROFILES:
        out[f"profile {name}"] = profile_values(name)
    return out


def charts_below(root):
    found = []
    for folder, folders, files in os.walk(root):
        if "Chart.yaml" in files:
            found.append(folder)
            folders.clear()
    return sorted(found)


def by_name(objects):
    out = {}
    for each in objects:
        if not each or (each.get("metadata", {}).get("annotations") or {}).get("helm.sh/hook"):
            continue
        meta = each.get("metadata", {})
        key = f"{each.get('apiVersion')} {each.get('kind')} {meta.get('namespace', '')}/{meta.get('name')}"
        if key in out:
            raise AssertionError(f"{key} is rendered twice")
        out[key] = each
    return out


def first_difference(a, b, where=""):
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            if key not in a or key not in b:
                return f"{where}.{key}: only {'ours' if key in a else 'helm'}: {json.dumps(a.get(key, b.get(key)))[:300]}"
            if found := first_difference(a[key], b[key], f"{where}.{key}"):
                return found
        return None
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return next((d for i, (x, y) in enumerate(zip(a, b)) if (d := first_difference(x, y, f"{where}[{i}]"))), None)
    return None if a == b and type(a) == type(b) else f"{where}: ours {json.dumps(a)[:2000]}, helm {json.dumps(b)[:2000]}"


def compare(chart, what, values, must_render):
    """One problem as text, or None."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(json.dumps(values))
        file.flush()
        helm = subprocess.run([HELM, "template", "istio", chart, "-n", NAMESPACE, "-f", file.name, "--include-crds", "--no-hooks", "--skip-schema-validation",
                               "--kube-version", KUBE_VERSION], capture_output=True, text=True, timeout=60)
        ours = subprocess.run([OURS, chart, "istio", NAMESPACE, file.name, KUBE_VERSION], capture_output=True, text=True, timeout=60)
    title = f"{os.path.relpath(chart, os.path.dirname(CHARTS))}, {what}"
    if helm.returncode != 0 or ours.returncode != 0:
        if helm.returncode != 0 and ours.returncode != 0 and not must_render:
            return None  # Both refuse.
        return f"{title}: helm: {helm.stderr.strip().splitlines()[-1:] or 'rendered'}; ours: {ours.stderr[-600:] or 'rendered'}"
    theirs, mine = by_name(read_yaml(helm.stdout)), by_name(json.loads(ours.stdout))
    for key in sorted(set(theirs) | set(mine)):
        if key not in mine or key not in theirs:
            return f"{title}: {key} is rendered by {'us' if key in mine else 'helm'} only"
        if found := first_difference(mine[key], theirs[key]):
            return f"{title}: {key}{found}"
    return None


def check(charts, sets, must_render=False):
    problems = [p for chart in charts for what, values in sets.items() if (p := compare(chart, what, values, must_render))]
    if problems:
        raise AssertionError(f"{len(problems)} differences:\n" + "\n".join(problems))


def test_our_charts():
    charts = charts_below(CHARTS)
    harness.assert_equal([os.path.basename(c) for c in charts],
                         ["base", "istio-egress", "istio-ingress", "istio-discovery", "istio-operator"])
    check(charts, all_values(), must_render=True)


MIRROR = os.environ.get("LATEEN_ISTIO_MIRROR", "/work/.mirror/istio+istio/repo")
checkout = None


def mirrored():
    """Istio's charts out of a bare copy of its repository; "" without one."""
    global checkout
    if not os.path.isdir(MIRROR):
        return ""
    checkout = tempfile.mkdtemp(prefix="lateen-test-")
    archive = subprocess.run(["git", "-C", MIRROR, "archive", "HEAD", "manifests/charts"], capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", checkout], input=archive, check=True)
    return checkout


def teardown():
    if checkout:
        shutil.rmtree(checkout, ignore_errors=True)


def test_istios_charts():
    root = os.environ.get("LATEEN_ISTIO_DIR", "") or mirrored()
    charts = charts_below(os.path.join(root, "manifests", "charts")) if root else []
    if not charts:
        raise unittest.SkipTest("no Istio charts: LATEEN_ISTIO_DIR names no checkout of Istio")
    sets = all_values()
    for name in ("ambient", "demo", "preview", "stable", "remote"):
        sets[f"Istio's profile {name}"] = {"profile": name}
    sets["compatible with 1.28"] = {"compatibilityVersion": "1.28"}
    sets["on OpenShift"] = {"global": {"platform": "openshift"}}
    check(charts, sets)


def test_a_chart_that_uses_what_helm_has():
    """Functions and corner cases that neither ours nor Istio's charts happen to use."""
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "Chart.yaml": "apiVersion: v2\nname: parent\nversion: 1.2.3\nappVersion: \"4.5\"\ndependencies:\n"
                          "- {name: child, version: 0.1.0, condition: child.enabled}\n- {name: child, version: 0.1.0, alias: twin, tags: [extra]}\n",
            "values.yaml": "a: {b: [1, 2, 3], c: text}\nchild: {enabled: true, own: from-parent}\ntags: {extra: true}\nglobal: {shared: 1}\n",
            "files/one.txt": "line one\nline two\n",
            "charts/child/Chart.yaml": "apiVersion: v2\nname: child\nversion: 0.1.0\n",
            "charts/child/values.yaml": "own: default\nlist: [x]\nglobal: {shared: 0, mine: 2}\n",
            "charts/child/templates/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Chart.Name }}-{{ .Values.own }}}\n"
                                             "data: {values: {{ toJson .Values | quote }}, template: {{ .Template.Name | quote }}}\n",
            "templates/_helpers.tpl": '{{- define "t.name" -}}{{ .Release.Name }}-{{ .Chart.Version | replace "." "-" | trunc 5 | trimSuffix "-" }}{{- end }}\n',
            "templates/a.yaml": FUNCTIONS,
        }
        for path, text in parts.items():
            os.makedirs(os.path.dirname(os.path.join(folder, "parent", path)), exist_ok=True)
            with open(os.path.join(folder, "parent", path), "w") as file:
                file.write(text)
        check([os.path.join(folder, "parent")], {"as it is": {}, "without the child": {"child": {"enabled": False}, "tags": {"extra": False}},
                                                 "other values": {"a": {"b": None, "c": "x", "unknown": None}, "new": {"gone": None}, "child": {"list": ["y"], "new": 1.5}}}, must_render=True)


FUNCTIONS = r"""
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "t.name" . }}
  labels: {{- dict "b" "2" "a" 1 | toYaml | nindent 4 }}
data:
  yaml: |
{{ toYaml .Values | indent 4 }}
  json: {{ .Values.a | toJson | squote }}
  raw: {{ .Values.a | toRawJson | quote }}
  float: {{ printf "%v %v %.2f %d %q %T %5s|%-5s| %x" 1.0 1e21 2.5 7 "q" "s" "r" "l" 255 | quote }}
  math: {{ list (add 1 2 3) (sub 9 4) (mul 2 3) (div 9 2) (mod 9 4) (max 1 5 2) (min 4 2) (floor 2.7) (ceil 2.1) (round 2.456 2) (int "12") (float64 "1.5") | toJson | quote }}
  text: {{ list (upper "ab") (title "ab cd") (untitle "Ab") (repeat 2 "x") (substr 1 3 "abcd") (trimAll "$" "$a$") (camelcase "a_b") (kebabcase "aB") (snakecase "aB") (nospace "a b") (initials "Ab Cd") (wrap 3 "ab cd") (abbrev 5 "abcdefgh") (cat "a" 1) (plural "one" "many" 2) | toJson | quote }}
  lists: {{ list (first (list 1 2)) (rest (list 1 2)) (last (list 1 2)) (initial (list 1 2)) (append (list 1) 2) (prepend (list 1) 0) (concat (list 1) (list 2)) (reverse (list 1 2)) (uniq (list 1 1)) (without (list 1 2) 2) (has 1 (list 1)) (compact (list "" "a")) (slice (list 1 2 3) 1 2) (until 3) (untilStep 0 6 2) (seq 3) (sortAlpha (list "b" "a")) | toJson | quote }}
  maps: {{ list (keys (dict "a" 1)) (pick (dict "a" 1 "b" 2) "a") (omit (dict "a" 1 "b" 2) "a") (merge (dict "a" 1) (dict "a" 2 "b" 3)) (mergeOverwrite (dict "a" 1) (dict "a" 2)) (dig "a" "b" "none" (dict "a" (dict "c" 1))) (get (dict "a" 1) "a") (hasKey (dict "a" 1) "b") (pluck "a" (dict "a" 1) (dict "a" 2)) (values (dict "a" 1)) | toJson | quote }}
  merges: {{ list (mergeOverwrite (dict "a" 1 "b" (dict "c" 1) "e" (list 1)) (dict "a" nil "b" nil "d" nil "e" (list))) (merge (dict "a" nil "b" (dict) "c" "") (dict "a" 1 "b" (dict "x" 1) "c" "y" "d" nil)) | toJson | quote }}
  code: {{ list (b64enc "hé") (b64dec "aMOp") (sha256sum "x") (sha1sum "x") (adler32sum "x") (urlquery "a b&c") (quote "a" 1 nil) (squote "a") (default "d" "") (coalesce "" 0 "z") (ternary "y" "n" true) (empty 0) (kindOf 1.5) (typeOf "x") (regexMatch "^a+$" "aa") (regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W") (regexFindAll "[0-9]" "a1b2" -1) (regexSplit "-" "a-b" -1) | toJson | quote }}
  versions: {{ list (semverCompare ">=1.2.0-0" "1.3.0-rc.1") (semverCompare "^1.2" "2.0.0") (semver "1.2.3-x+y").Minor (.Capabilities.KubeVersion.Minor) (.Capabilities.APIVersions.Has "apps/v1") (.Capabilities.APIVersions.Has "none/v9") | toJson | quote }}
  files: {{ .Files.Get "files/one.txt" | quote }}
  lines: {{ .Files.Lines "files/one.txt" | toJson | quote }}
  {{- (.Files.Glob "files/*").AsConfig | nindent 2 }}
  parsed: {{ list (fromYaml "a: [1, 2.5, x]") (fromJson "{\"a\": 1}") (fromYamlArray "- 1") (fromJsonArray "[1]") | toJson | quote }}
  tpl: {{ tpl "{{ .Values.a.c }}-{{ .Release.Namespace }}" . | quote }}
  {{- range $i, $v := .Values.a.b }}
  "item-{{ $i }}": {{ $v | quote }}
  {{- else }}
  none: "here"
  {{- end }}
  {{- with .Values.missing }}
  never: "x"
  {{- end }}
  {{- $x := 1 }}{{ if and (eq $x 1) (or (lt 1 2) (fail "not reached")) }}{{ $x = 2 }}{{ end }}
  assigned: {{ $x | quote }}
  compare: {{ list (eq 1 2 1) (ne "a" "b") (le 1 1) (gt 2.5 1.5) (not 0) (len "héllo") (index (list 1 2) 1) | toJson | quote }}
  {{- range $k, $v := dict "z" 1 "y" 2 }}
  "map-{{ $k }}": "{{ $v }}"
  {{- end }}
  {{- range until 5 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 3 }}{{ break }}{{ end }}
  "n{{ . }}": "x"
  {{- end }}
  html: {{ html "<a&b>" | quote }}
  js: {{ js "it's" | quote }}
  print: {{ print "a" 1 2 "b" 3.0 true nil | quote }}
  println: {{ println "a" 1 | trim | quote }}
  release: {{ .Release | toJson | quote }}
  lookup: {{ lookup "v1" "Namespace" "" "x" | toJson | quote }}
  required: {{ required "must be there" .Values.a.c | toString | quote }}
"""
