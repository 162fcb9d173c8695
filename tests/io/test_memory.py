"""How much memory there is: the least of what the machine has, control groups allow and limits leave."""

import resource
import subprocess
import sys

import psutil
import pytest

from lhic.errors import MemoryBudgetError, UsageError
from lhic.io import memory
from lhic.io.memory import check_memory, control_group_memory, free_memory, memory_budget

MIB = 1 << 20


def test_memory_budget(monkeypatch):
    check_memory(6000, "cube", "a tile", budget=6000)
    with pytest.raises(MemoryBudgetError, match=r"a tile to need at most 5,999 bytes of memory .*found 6,000"):
        check_memory(6000, "cube", "a tile", budget=5999)
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", "5999")
    assert memory_budget() == 5999 and memory_budget(7) == 7


@pytest.mark.parametrize("setting", ["lots", "1G", "", "0", "-5", "1e9"])
def test_a_budget_that_is_no_number_of_bytes(setting, monkeypatch):
    with pytest.raises(UsageError, match="memory_budget: expected a positive number of bytes"):
        memory_budget(setting)
    monkeypatch.setenv("LHIC_MEMORY_BUDGET", setting)
    with pytest.raises(UsageError, match="LHIC_MEMORY_BUDGET: expected a positive number of bytes"):
        memory_budget()


@pytest.mark.parametrize("budget", [float("inf"), float("nan"), [1]])
def test_a_budget_of_another_kind(budget):
    with pytest.raises(UsageError, match="memory_budget"):
        memory_budget(budget)


def test_the_budget_is_a_share_of_what_is_free(monkeypatch):
    monkeypatch.delenv("LHIC_MEMORY_BUDGET", raising=False)
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    assert memory_budget() == 800


def test_what_is_available_counts_not_what_there_is():
    assert 0 < free_memory() <= psutil.virtual_memory().total
    assert free_memory() < psutil.virtual_memory().available + 64 * MIB


# --- control groups ---------------------------------------------------------------------------------------------------

V2_MOUNT = "42 32 0:38 {root} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "35 31 0:32 {root} /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory"
OTHER_MOUNTS = """23 0 254:0 / / rw,relatime - ext4 /dev/vda rw
36 31 0:33 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct
"""


def system(root, own: str, mounts: str, groups: dict[str, dict[str, int | str]]):
    """A file tree with what Linux shows of control groups, below `root`."""
    files = {"proc/self/cgroup": own, "proc/self/mountinfo": OTHER_MOUNTS + mounts}
    files |= {
        f"sys/fs/cgroup/{group}/{name}": value for group, names in groups.items() for name, value in names.items()
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


def v2(limit, used, inactive=0, active=0) -> dict:
    statistics = f"anon 5\ninactive_file {inactive}\nactive_file {active}\nslab 7"
    return {"memory.max": limit, "memory.current": used, "memory.stat": statistics}


def v1(limit, used, inactive=0, active=0) -> dict:
    statistics = f"inactive_file 1\ntotal_inactive_file {inactive}\ntotal_active_file {active}"
    return {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": used, "memory.stat": statistics}


def test_version_2(tmp_path):
    root = system(tmp_path, "0::/job", V2_MOUNT.format(root="/"), {"job": v2(400 * MIB, 100 * MIB)})
    assert list(control_group_memory(root)) == [300 * MIB]


def test_what_was_read_from_files_is_not_lost(tmp_path):
    groups = {"job": v2(400, 390, inactive=50, active=20)}
    assert list(control_group_memory(system(tmp_path, "0::/job", V2_MOUNT.format(root="/"), groups))) == [80]


def test_limits_above_the_own_group_count(tmp_path):
    groups = {"a": v2(1000, 900), "a/b": v2("max", 300), "a/b/c": v2(500, 100), "a/b/c/below": v2(1, 1)}
    root = system(tmp_path, "0::/a/b/c", V2_MOUNT.format(root="/"), groups)
    assert sorted(control_group_memory(root)) == [100, 400]


def test_version_1(tmp_path):
    own = "9:name=systemd:/x\n4:cpu,cpuacct:/y\n3:memory:/jobs/7\n0::/"
    groups = {"memory": v1(9223372036854771712, 10**9), "memory/jobs": v1(900, 800), "memory/jobs/7": v1(700, 100, 20)}
    root = system(tmp_path, own, V1_MOUNT.format(root="/"), groups)
    assert sorted(control_group_memory(root))[:2] == [100, 620]


def test_a_container_sees_its_own_group_at_the_top(tmp_path):
    """Docker without a namespace of groups: the path is that of the host, of which a part is mounted."""
    root = system(tmp_path, "3:memory:/docker/ab", V1_MOUNT.format(root="/docker/ab"), {"memory": v1(400, 100)})
    assert list(control_group_memory(root)) == [300]
    groups = {"memory": v1(400, 100), "memory/inner": v1(250, 20)}
    root = system(tmp_path / "2", "3:memory:/docker/ab/inner", V1_MOUNT.format(root="/docker/ab"), groups)
    assert sorted(control_group_memory(root)) == [230, 300]


def test_a_path_outside_of_what_is_mounted(tmp_path):
    root = system(tmp_path, "0::/../other", V2_MOUNT.format(root="/"), {".": v2(400, 100)})
    assert list(control_group_memory(root)) == [300]


def test_names_with_spaces(tmp_path):
    mount = V2_MOUNT.format(root=r"/my\040jobs").replace("/sys/fs/cgroup", r"/sys/fs/cgroup/my\040place")
    root = system(tmp_path, "0::/my jobs/one", mount, {"my place/one": v2(400, 100)})
    assert list(control_group_memory(root)) == [300]


def test_both_versions_and_neither(tmp_path):
    mounts = V1_MOUNT.format(root="/") + "\n" + V2_MOUNT.format(root="/").replace("cgroup rw", "cgroup/unified rw")
    root = system(tmp_path, "3:memory:/a\n0::/", mounts, {"memory/a": v1(400, 100), "unified": {}})
    assert list(control_group_memory(root)) == [300]
    assert list(control_group_memory(tmp_path / "nowhere")) == []


def test_a_control_group_is_the_memory_there_is(monkeypatch):
    monkeypatch.delenv("LHIC_MEMORY_BUDGET", raising=False)
    monkeypatch.setattr(memory, "control_group_memory", lambda: iter([400 * MIB, 900 * MIB]))
    assert memory_budget() == 320 * MIB
    monkeypatch.setattr(memory, "control_group_memory", lambda: iter([-5 * MIB]))
    assert free_memory() == 0
    with pytest.raises(MemoryBudgetError, match="at most 0 bytes"):
        check_memory(1, "cube", "a sample")


# --- address space ----------------------------------------------------------------------------------------------------


def test_a_limit_of_the_address_space_counts_less_what_is_taken():
    code = f"""
import resource, psutil
from lhic.io.memory import free_memory
used = psutil.Process().memory_info().vms
resource.setrlimit(resource.RLIMIT_AS, (used + {100 * MIB}, resource.RLIM_INFINITY))
print(free_memory())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 90 * MIB < int(found.stdout) <= 100 * MIB
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY or free_memory() > 0
