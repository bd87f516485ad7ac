"""The same bytes through our proxy and the real Envoy with the same configuration: the answers, what reaches the upstream and what becomes of the
connection must be the same, but for what differential.md explains."""
import collections
import concurrent.futures
import os
import re
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

HERE = os.path.dirname(os.path.abspath(__file__))
# Headers whose values differ by their nature.
VARYING = {"date", "x-request-id", "x-envoy-upstream-service-time", "x-b3-traceid"}
PATIENCE_SECONDS = (1.2, 5.0)
OF_WORDS = {"content-length", "content-type", "server"}
two, found, counts = None, [], collections.Counter()


def own_address():
    """What the machine is to others; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
        except OSError:
            return "127.0.0.1"
        return probe.getsockname()[0]


OWN_ADDRESS = own_address()


def setup():
    global two
    if not os.environ.get("LATEEN_PEERS_RUN"):
        raise unittest.SkipTest("takes minutes and a quiet machine: ./dev peers runs it")
    import differential_cases
    import differential_rig
    if not os.path.exists(differential_rig.ENVOY):
        raise unittest.SkipTest("the real Envoy is not on this machine (tools/peers/build.sh)")
    two = differential_rig.TwoProxies(differential_cases.REPLIES)
    wanted = os.environ.get("LATEEN_DIFFERENTIAL", "")
    jobs = [(case, profile) for case in differential_cases.load() for profile in case.profiles if wanted in f"{profile} {case.name}"]
    lanes = [jobs[n::differential_rig.LANES] for n in range(differential_rig.LANES)]
    with concurrent.futures.ThreadPoolExecutor(2 * differential_rig.LANES) as pool:
        for lane in pool.map(lambda n: compare_all(lanes[n], n), range(differential_rig.LANES)):
            found.extend(lane)


def teardown():
    if two:
        two.close()


def compare_all(jobs, lane):
    lines = []
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        for case, profile in jobs:
            # A slow machine is no difference, nor is a race with an upstream that closes: it is one when it shows each time.
            for patience in PATIENCE_SECONDS:
                differences = compare(case, profile, lane, patience, beside)
                if not differences:
                    break
            counts["exchanges"] += 1
            counts["different"] += bool(differences)
            added = [f"{profile} {case.name}: {line}" for line in differences]
            lines += added
            if added and os.environ.get("LATEEN_DIFFERENTIAL_REPORT"):
                with open(os.environ["LATEEN_DIFFERENTIAL_REPORT"], "a") as out:
                    out.write("\n".join(added) + "\n")
    return lines


def compare(case, profile, lane, patience, beside):
    envoy = beside.submit(observe, two.envoy, case, profile, lane, patience)
    ours = observe(two.ours, case, profile, lane, patience)
    return list(differences_of(ours, envoy.result()))


def observe(proxy, case, profile, lane, patience):
    from differential_rig import exchange_h1, exchange_h2
    upstream = proxy.upstreams[lane]
    upstream.take()
    port = proxy.ports[profile][lane]
    seen = exchange_h2(port, case.data, patience, case.streams) if case.is_h2 else exchange_h1(port, case.data, patience, case.is_head)
    if proxy.process.poll() is not None:
        raise AssertionError(f"{proxy.name} ended by {profile} {case.name}: {case.data[:400]!r}")
    return {**seen, "upstream": upstream.take()}


def normal_fields(fields):
    """Envoy says for a client on loopback the machine's own address."""
    return sorted((n.lower(), "*" if n.lower() in VARYING else v.replace(OWN_ADDRESS, "127.0.0.1")) for n, v in fields)


def is_refusal(answer):
    """Of the proxy itself, whose words and their length are its own; a refused message's answer bears no name either."""
    return answer["status"][0] in "45" and not any(n == "x-answer" for n, _ in answer["fields"])


def normal_answers(answers):
    whole = [a for a in answers if a["status"].isdigit() and not a["status"].startswith("1")]
    # Whether a reset without error follows a whole answer is a matter of time.
    return [a for a in answers if not (whole and a["status"] == "reset 0")]


def differences_of(ours, envoy):
    answers, theirs = normal_answers(ours["answers"]), normal_answers(envoy["answers"])
    mine, other = [a["status"] for a in answers], [a["status"] for a in theirs]
    if mine != other:
        yield f"status: ours {','.join(mine) or 'none'}, envoy {','.join(other) or 'none'}"
    else:
        for own, real in zip(answers, theirs):
            left, right = normal_fields(own["fields"]), normal_fields(real["fields"])
            if is_refusal(own) and is_refusal(real):
                left, right = [[f for f in fields if f[0] not in OF_WORDS] for fields in (left, right)]
            if left != right:
                yield f"header: ours {minus(left, right)}, envoy {minus(right, left)}"
            for what in ("body", "trailers", "framing"):
                if own[what] != real[what] and not (what == "body" and is_refusal(own) and is_refusal(real)):
                    yield f"{what} of {own['status']}: ours {own[what][:80]!r}, envoy {real[what][:80]!r}"
    if ours["end"] != envoy["end"]:
        yield f"end after {','.join(mine) or 'none'}/{','.join(other) or 'none'}: ours {ours['end']}, envoy {envoy['end']}"
    # What an aborted request left behind at the upstream depends on time.
    left = [s for s in ours["upstream"] if "cut" not in s]
    right = [s for s in envoy["upstream"] if "cut" not in s]
    if len(left) != len(right):
        yield f"upstream: ours {[brief(s) for s in left]}, envoy {[brief(s) for s in right]}"
        return
    for own, real in zip(left, right):
        if "malformed" in own or "malformed" in real:
            yield f"upstream: ours {brief(own)}, envoy {brief(real)}"
            continue
        for what in ("line", "body", "framing"):
            if own[what] != real[what]:
                yield f"upstream {what}: ours {own[what][:200]!r}, envoy {real[what][:200]!r}"
        for what in ("fields", "trailers"):
            mine, other = normal_fields(own[what]), normal_fields(real[what])
            if mine != other:
                yield f"upstream {what}: ours {minus(mine, other)}, envoy {minus(other, mine)}"


def minus(these, those):
    left = list(those)
    out = []
    for one in these:
        if one in left:
            left.remove(one)
        else:
            out.append(f"{one[0]}: {one[1][:80]}")
    return out


def brief(seen):
    return seen["malformed"] if "malformed" in seen else f"{seen['line'][:80]} +{len(seen['body'])}"


def explained():
    """(pattern, reason) of the table in differential.md: patterns stand between backquotes in its first column."""
    text = open(os.path.join(HERE, "differential.md")).read()
    return [re.compile(m.group(1).replace("\\|", "|")) for m in re.finditer(r"^\| `(.+?)` \|", text, flags=re.M)]


def test_no_difference_is_unexplained():
    patterns = explained()
    lines = [line for line in found if not any(pattern.search(line) for pattern in patterns)]
    summary = f"{counts['exchanges']} exchanges, {counts['different']} different, {len(found)} findings, {len(lines)} unexplained"
    print(summary)
    if lines:
        raise AssertionError(f"{summary}; differences that tests/peers/differential.md does not explain:\n" + "\n".join(lines[:100]))


def test_nothing_malformed_reaches_an_upstream():
    """Not even where Envoy lets it through."""
    lines = [line for line in found if re.search(r": upstream: ours .*(framing|chunk size|content-length|field '|control characters)", line)]
    if lines:
        raise AssertionError("\n".join(lines))
