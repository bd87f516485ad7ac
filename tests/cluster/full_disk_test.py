"""The disk fills up under a running cluster: writes are refused by name, reads go on, and with room again all is as it was."""
import os
import subprocess

from harness import Api, Cluster, assert_equal, assert_matches, eventually

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


def write(api, name):
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"filler": "x" * 200_000}}
    return api.call("POST", CONFIG_MAPS, body)


def names(api):
    status, answer = api.call("GET", CONFIG_MAPS)
    assert_equal(status, 200)
    return {item["metadata"]["name"] for item in answer["items"]}


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass


def test_writes_fail_by_name_and_come_back():
    cluster = Cluster()
    mounted = False
    try:
        os.mkdir(cluster.data)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m", "tmpfs", cluster.data], check=True)
        mounted = True
        cluster.up()
        api, filler = Api(cluster), os.path.join(cluster.data, "filler")
        acknowledged = {f"before-{i}" for i in range(5)}
        assert_equal({write(api, name)[0] for name in acknowledged}, {201})
        fill(filler)
        refusal = None
        for i in range(500):
            status, answer = write(api, f"during-{i}")
            if status == 201:
                acknowledged.add(f"during-{i}")
                fill(filler + "-more")  # room that the write-ahead log still had
                continue
            refusal = (status, answer)
            break
        if refusal is None:
            raise AssertionError("500 writes on a full disk were all accepted")
        assert_matches("^5(00|07)$", str(refusal[0]))
        assert_matches(r"the disk is full; free some space and try again", refusal[1]["message"])
        assert_matches("disk is full", cluster.kubectl("create", "configmap", "more", f"--from-literal=a={'x' * 100_000}", check=False).stderr)
        assert_equal(acknowledged - names(api), set())
        for name in os.listdir(cluster.data):
            if name.startswith("filler"):
                os.unlink(os.path.join(cluster.data, name))

        def accepted():
            status, _ = write(api, "after")
            return status in (201, 409)
        eventually(accepted, limit=30, what="writes with room again")
        acknowledged.add("after")
        cluster.down()
        cluster.up()
        assert_equal(acknowledged - names(Api(cluster)), set())
        eventually(lambda: " Ready " in cluster.out("get", "nodes"), limit=60, what="node ready")
    finally:
        cluster.down(check=False)
        if mounted:
            subprocess.run(["umount", "-l", cluster.data], check=True)
        cluster.destroy()
