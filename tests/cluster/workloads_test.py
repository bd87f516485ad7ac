"""What stock kubectl sees of workloads and nodes: rollouts, claims, jobs, draining, taints, describe, events; one cluster, no mesh."""
import json

from harness import Cluster, assert_equal, assert_matches, eventually
from kubectl_support import namespace_in, pod, refused, shell, start, with_both

cluster = None


def setup():
    global cluster
    cluster = cluster or Cluster(mesh=False)
    start(cluster)


def teardown():
    cluster.destroy()


def namespace(name):
    return namespace_in(cluster, name)


def both(check):
    with_both(cluster, check)


def ready(name, ns):
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "-n", ns, "--timeout=60s")


def logs(name, ns, *args, **kwargs):
    return cluster.out("logs", name, "-n", ns, *args, **kwargs)


def test_workloads():
    ns = namespace("workloads")
    template = "template: {metadata: {labels: {app: %s}}, spec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: busybox, command: [sleep, '1000'], env: [{name: V, value: '%s'}]}]}}"
    deployment = lambda value: f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: {ns}, annotations: {{kubernetes.io/change-cause: v{value}}}}}\nspec: {{replicas: 2, selector: {{matchLabels: {{app: d}}}}, {template % ('d', value)}}}\n"
    cluster.apply(deployment("1"))
    assert_matches("successfully rolled out", cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s"))
    cluster.apply(deployment("2"))
    assert_matches("successfully rolled out", cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s"))
    def check(which):
        assert_matches(r"1 +v1\n(.*\n)*2 +v2|2 +v2|\d+ +v2", cluster.out("rollout", "history", "deployment/d", "-n", ns))
        assert_matches(r"d +2/2 +2 +2", cluster.out("get", "deployment", "d", "-n", ns))
        assert_matches(r"NewReplicaSet: +d-\w+ \(2/2 replicas created\)", cluster.out("describe", "deployment", "d", "-n", ns))
    both(check)
    assert_matches("rolled back", cluster.out("rollout", "undo", "deployment/d", "-n", ns))
    cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s")
    assert_equal(cluster.json("get", "deployment", "d", "-n", ns)["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"], "1")
    cluster.kubectl("rollout", "pause", "deployment/d", "-n", ns)
    cluster.kubectl("rollout", "resume", "deployment/d", "-n", ns)
    assert_matches("restarted", cluster.out("rollout", "restart", "deployment/d", "-n", ns))
    cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s")
    assert_matches("scaled", cluster.out("scale", "deployment/d", "--replicas=3", "-n", ns))
    refused(cluster.kubectl("scale", "deployment/d", "--replicas=1", "--current-replicas=7", "-n", ns, check=False), "Expected replicas to be 7")
    cluster.kubectl("wait", "--for=condition=Available", "deployment/d", "-n", ns, "--timeout=60s")
    cluster.kubectl("wait", "--for=jsonpath={.status.readyReplicas}=3", "deployment/d", "-n", ns, "--timeout=60s")
    cluster.kubectl("autoscale", "deployment/d", "--min=1", "--max=4", "-n", ns)
    assert_matches(r"Deployment/d .* 1 +4", cluster.out("get", "hpa", "-n", ns))
    # StatefulSet: in order, with names and claims of their own.
    cluster.apply(f"""
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: {ns}}}
spec: {{clusterIP: None, selector: {{app: s}}, ports: [{{port: 80}}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: s, namespace: {ns}}}
spec:
  serviceName: s
  replicas: 2
  selector: {{matchLabels: {{app: s}}}}
  template:
    metadata: {{labels: {{app: s}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{{name: c, image: busybox, command: [sh, -c, "hostname >> /data/names; sleep 1000"], volumeMounts: [{{name: data, mountPath: /data}}]}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Mi}}}}}}
""")
    cluster.out("rollout", "status", "statefulset/s", "-n", ns, "--timeout=60s")
    assert_matches(r"s +2/2", cluster.out("get", "statefulset", "-n", ns))
    assert_equal(sorted(p["metadata"]["name"] for p in cluster.json("get", "pods", "-l", "app=s", "-n", ns)["items"]), ["s-0", "s-1"])
    assert_matches(r"data-s-0 +Bound +pvc-\S+ +1Mi +RWO +standard", cluster.out("get", "pvc", "-n", ns))
    assert_matches(rf"pvc-\S+ +1Mi +RWO +Delete +Bound +{ns}/data-s-0 +standard", cluster.out("get", "pv"))
    cluster.apply(f"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: fast, namespace: {ns}}}\nspec: {{accessModes: [ReadWriteOnce], storageClassName: fast, resources: {{requests: {{storage: 1Mi}}}}}}\n")
    eventually(lambda: 'storageclass.storage.k8s.io "fast" not found' in cluster.out("describe", "pvc", "fast", "-n", ns), what="the claim says why it waits")
    cluster.kubectl("delete", "pod", "s-0", "-n", ns)
    cluster.out("rollout", "status", "statefulset/s", "-n", ns, "--timeout=60s")
    ready("s-0", ns)
    eventually(lambda: cluster.out("exec", "s-0", "-n", ns, "--", "cat", "/data/names").split() == ["s-0", "s-0"], what="the claim's data stays")
    # DaemonSet, Job, CronJob.
    cluster.apply(f"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: ds, namespace: {ns}}}\nspec: {{selector: {{matchLabels: {{app: ds}}}}, {template % ('ds', '1')}}}\n")
    cluster.out("rollout", "status", "daemonset/ds", "-n", ns, "--timeout=60s")
    cluster.kubectl("create", "job", "j", "--image=busybox", "-n", ns, "--", "sh", "-c", "echo done")
    cluster.kubectl("wait", "--for=condition=complete", "job/j", "-n", ns, "--timeout=60s")
    assert_equal(cluster.out("logs", "job/j", "-n", ns), "done\n")
    assert_matches(r"j +(Complete +)?1/1", cluster.out("get", "job", "-n", ns))
    cluster.kubectl("create", "cronjob", "cj", "--image=busybox", "--schedule=*/5 * * * *", "-n", ns, "--", "true")
    cluster.kubectl("create", "job", "manual", "--from=cronjob/cj", "-n", ns)
    cluster.kubectl("wait", "--for=condition=complete", "job/manual", "-n", ns, "--timeout=60s")
    assert_matches(r"cj +\*/5 \* \* \* \*", cluster.out("get", "cronjob", "-n", ns))


def test_drain_cordon_taints():
    ns = namespace("drain")
    node = cluster.out("get", "nodes", "-o", "name").strip().split("/")[1]
    cluster.kubectl("create", "deployment", "d", "--image=busybox", "-n", ns, "--", "sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done")
    cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s")
    cluster.kubectl("create", "poddisruptionbudget", "pdb", "--selector=app=d", "--min-available=1", "-n", ns)
    eventually(lambda: cluster.json("get", "pdb", "pdb", "-n", ns)["status"].get("currentHealthy") == 1, what="budget counts")
    try:
        refused(cluster.kubectl("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--pod-selector=app=d", "--timeout=2s", check=False),
                "violate the pod's disruption budget")
        assert_matches("SchedulingDisabled", cluster.out("get", "nodes"))
        cluster.kubectl("delete", "pdb", "pdb", "-n", ns)
        assert_matches("drained|evicted", cluster.out("drain", node, "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--pod-selector=app=d", "--timeout=60s"))
        eventually(lambda: "Pending" in cluster.out("get", "pods", "-n", ns), what="the new pod waits")
        eventually(lambda: "node(s) were unschedulable" in cluster.out("get", "events", "-n", ns), what="scheduler says why")
    finally:
        assert_matches("uncordoned", cluster.out("uncordon", node))
    cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=60s")
    cluster.apply(pod("stays", ns, shell("sleep 1000"), "  tolerations: [{key: test, operator: Exists, effect: NoExecute}]\n"))
    ready("stays", ns)
    before = cluster.first_pod("app=d", ns)
    try:
        assert_matches("tainted", cluster.out("taint", "node", node, "test=yes:NoExecute"))
        eventually(lambda: "NotFound" in cluster.kubectl("get", "pod", before, "-n", ns, check=False).stderr, limit=90, what="evicted by the taint")
        assert_equal(cluster.json("get", "pod", "stays", "-n", ns)["status"]["phase"], "Running")
    finally:
        cluster.out("taint", "node", node, "test-")
    cluster.out("rollout", "status", "deployment/d", "-n", ns, "--timeout=90s")


def test_describe_events_top_debug():
    ns = namespace("tell")
    cluster.apply(pod("p", ns, shell("sleep 1000")))
    ready("p", ns)
    def check(which):
        text = cluster.out("describe", "pod", "p", "-n", ns)
        assert_matches(r"^Status: +Running", text)
        assert_matches(r"Scheduled .*Successfully assigned", text)
        assert_matches(r"Started .*[Ss]tarted container", text)
        assert_matches(r"Ready +True", text)
        assert_matches(r"Allocated resources", cluster.out("describe", "node"))
        top = cluster.kubectl("top", "nodes", check=False)
        refused(top, "Metrics API not available|metrics")
    both(check)
    assert_matches(r"Normal +Started +Pod/p", cluster.out("events", "-n", ns))
    assert_matches(r"Scheduled", cluster.out("events", "--for=pod/p", "-n", ns))
    refused(cluster.kubectl("debug", "p", "-n", ns, "--image=busybox", "--", "true", check=False), r"ephemeral containers are disabled.*kubectl debug\s+with --copy-to")
    cluster.kubectl("debug", "p", "-n", ns, "--copy-to=p2", "--container=c", "--", "sh", "-c", "echo copied; sleep 1000")
    ready("p2", ns)
    assert_equal(logs("p2", ns, "-c", "c"), "copied\n")
