"""The bench's own parts; the figures themselves are not asserted here, machines differ."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from bench.callgrind import Accepted, verdict
from bench.frames import Endpoint, client_flows, read_pcap, replies_to, udp_frames, write_pcap
from bench.hugepages import PAGE_BYTES, POOL, free_hugepages
from bench.measure import Window, mbufs_for, memory_for, ns_per_packet, row
from bench.process import BenchError
from bench.reloads import BUCKETS, Histogram, check_none_lost, least_cycles
from bench.scaling import factor
from bench.scenario import EXTERNAL, captures, laps, net_pcap_link, write_config
from bench.subjects import Counters, port_devices, running_forwarder

LISTENER = Endpoint(0xC633640A, 80)
LINK = net_pcap_link(EXTERNAL)
ARP_FRAME = EXTERNAL.arp(LINK)
TESTS = Path(__file__).parents[1]
FORWARDER = TESTS.parents[2] / "build/fwd/dpdk/skylane-fwd"


def test_frames_have_right_checksums_and_length():
    for frame in udp_frames(client_flows(200, LISTENER), LINK):
        packet = Ether(frame)
        ip_checksum, udp_checksum = packet[IP].chksum, packet[UDP].chksum
        del packet[IP].chksum, packet[UDP].chksum
        again = Ether(bytes(packet))
        assert (len(frame), again[IP].chksum, again[UDP].chksum) == (60, ip_checksum, udp_checksum)


def test_client_flows_are_distinct():
    assert len(set(client_flows(10_000, LISTENER))) == 10_000


def test_replies_turn_each_flow_round_once(tmp_path):
    flows = list(client_flows(5, LISTENER))
    frames = list(udp_frames(flows, LINK))
    assert write_pcap(tmp_path / "two-laps.pcap", [ARP_FRAME, *frames, *frames]) == 11
    assert list(replies_to(read_pcap(tmp_path / "two-laps.pcap"))) == [(there, here) for here, there in flows]


def test_capture_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "cut.pcap"
    write_pcap(path, [ARP_FRAME])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"cut\.pcap: cut off within a frame"):
        list(read_pcap(path))


def test_arp_frame_names_the_gateway():
    answer = Ether(ARP_FRAME)[ARP]
    assert (answer.op, answer.psrc, answer.pdst) == (2, "10.77.0.1", "10.77.0.11")


def test_endless_file_has_little_arp():
    frames = laps(list(udp_frames(client_flows(1, LISTENER), LINK)), ARP_FRAME)
    assert len(frames) == 1 + 1024
    assert frames.count(ARP_FRAME) == 1


def test_row_takes_minimum_and_median():
    line = row("case", 7, [12.0, 10.0, 11.0], [5.0, 4.0, 6.0])
    assert (line.ns_min, line.ns_median, line.baseline_ns_min) == (10.0, 11.0, 4.0)


@pytest.mark.parametrize(("count", "complaints"), [(99.0, 0), (102.0, 0), (102.1, 1)])
def test_growth_over_two_percent_is_refused(count, complaints):
    found = verdict(Accepted("cc 1", {"case": count}), Accepted("cc 1", {"case": 100.0}))
    assert len(found) == complaints
    assert all("102.1" in line and "100.0" in line and "--accept" in line for line in found)


def test_counts_of_another_compiler_are_refused():
    (line,) = verdict(Accepted("cc 2", {"case": 1.0}), Accepted("cc 1", {"case": 100.0}))
    assert "'cc 1'" in line
    assert "'cc 2'" in line


def test_quick_run_forwards_both_directions_and_gives_plausible_rows(tmp_path):
    output = tmp_path / "bench.json"
    run = subprocess.run(
        [sys.executable, "-m", "bench", "--quick", "--flows", "64", "--json", str(output)],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (line,) = json.loads(output.read_text())
    assert set(line) == {"case", "flows", "workers", "ns_min", "ns_median", "baseline_ns_min"}
    assert (line["case"], line["flows"], line["workers"]) == ("fullnat-udp4", 64, 1)
    assert 1 < line["baseline_ns_min"] < 5_000
    assert line["baseline_ns_min"] / 2 < line["ns_min"] <= line["ns_median"] < 5_000


def test_two_workers_forward_all_that_their_queues_bring():
    run = subprocess.run(
        [sys.executable, "-m", "bench.scaling", "--quick", "--rounds", "1", "--flows", "64"],
        cwd=TESTS, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.search(r"fullnat-udp4-scaling: .* times the packets \(testpmd io", run.stdout)


def test_factor_of_two_workers():
    assert factor(50.0, 50.0) == 2
    assert factor(50.0, 100.0) == 1


def test_buckets_follow_each_other():
    bounds = [least_cycles(bucket) for bucket in range(BUCKETS)]
    assert bounds[:64] == list(range(64))
    assert all(0 < after - before <= max(1, before / 32) for before, after in pairwise(bounds))


def test_share_of_a_histogram():
    histogram, nothing = Histogram(), [0] * BUCKETS
    histogram.add(nothing, [999, 1, *nothing[2:]])
    assert (histogram.cycles_at(0.999), histogram.cycles_at(1)) == (1, 2)
    assert histogram.largest() == 2


def test_lost_packets_give_no_result():
    before = Counters(0, 0, {"no_flow": 1})
    check_none_lost(before, Counters(1_000, 998, {"no_flow": 1}), 1_000)
    with pytest.raises(BenchError, match="'no_flow': 2"):
        check_none_lost(before, Counters(1_000, 998, {"no_flow": 3}), 1_000)


def test_reloads_lose_and_move_nothing():
    run = subprocess.run(
        [sys.executable, "-m", "bench.reloads", "--flows", "64", "--rounds", "1", "--window-s", "0.3"],
        cwd=TESTS, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert re.match(
        r"[1-9]\d* reloads of 1,000 backends, [\d,]+ packets, none lost, no flow moved", run.stdout
    )
    assert run.stdout.count("p99.9 ") == 4


def hugepages():
    return int((POOL / "nr_hugepages").read_text())


def use_hugepages_and_fail(before):
    with free_hugepages(8 * PAGE_BYTES):
        assert hugepages() == before + 8
        raise BenchError("in between")


def test_hugepages_are_added_and_given_back_after_a_failure():
    before = hugepages()
    with pytest.raises(BenchError, match="in between"):
        use_hugepages_and_fail(before)
    assert hugepages() == before


def test_run_whose_replies_are_dropped_gives_no_row(tmp_path):
    """Frames that nobody can translate: every reply goes to a port of no flow."""
    files = captures(None, 64, tmp_path)
    mbufs = mbufs_for(files.frames)
    config = write_config(tmp_path / "config", 64, port_devices(files.paths))
    with (
        free_hugepages(memory_for(files.frames, 64)),
        running_forwarder(FORWARDER, config, mbufs, tmp_path) as subject,
        pytest.raises(BenchError, match=r"packets in, \d+ out, dropped: .*'not_ours'"),
    ):
        ns_per_packet(subject, Window(0.1, 0.2), files.frames)


def test_program_that_ends_at_once_is_reported_with_its_log(tmp_path):
    with pytest.raises(BenchError, match="ended with"), running_forwarder(FORWARDER, tmp_path, 0, tmp_path):
        pass
