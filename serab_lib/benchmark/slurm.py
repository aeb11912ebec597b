"""A Dask cluster whose workers are jobs of Slurm, described by a small TOML profile."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serab_lib.core import SerabError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs of one kind.

    Attributes
    ----------
    n_jobs : int
        How many to ask for.
    cores, memory, walltime : int, str, str
        Of one job.
    n_processes : int
        Dask workers in one job; they share its cores and memory.
    queue, account, interface, local_directory : str or None
        Partition; account; network interface; folder for what does not fit into memory.
    directives : tuple of str
        More lines for the job's head, without `#SBATCH`.
    prologue : tuple of str
        Shell lines before the worker starts, such as `source ~/serab/bin/activate`.
    """

    n_jobs: int = 1
    cores: int = 8
    memory: str = "32GB"
    walltime: str = "08:00:00"
    n_processes: int = 1
    queue: str | None = None
    account: str | None = None
    interface: str | None = None
    local_directory: str | None = None
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()

    def options(self, *, gpu: bool) -> dict[str, Any]:
        """Arguments of dask-jobqueue's `SLURMCluster`; jobs with a GPU ask for it and say that they have it."""
        directives = list(self.directives)
        if gpu and not any("gpu" in directive or "gres" in directive for directive in directives):
            directives.append("--gres=gpu:1")
        chosen = {
            "queue": self.queue,
            "account": self.account,
            "interface": self.interface,
            "local_directory": self.local_directory,
        }
        return {
            "cores": self.cores,
            "memory": self.memory,
            "walltime": self.walltime,
            "processes": self.n_processes,
            "job_extra_directives": directives,
            "job_script_prologue": list(self.prologue),
            "worker_extra_args": ["--resources", "GPU=1"] if gpu else [],
            **{name: value for name, value in chosen.items() if value is not None},
        }


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What is asked of Slurm.

    Attributes
    ----------
    cpu : Jobs
        For the classifiers, and for extraction where there are no jobs with a GPU.
    gpu : Jobs or None
        For extraction.
    wait_s : float
        Seconds to wait for the first job, or for another when all are gone.
    """

    cpu: Jobs = Jobs(n_jobs=4, n_processes=8)
    gpu: Jobs | None = None
    wait_s: float = 3600.0


def read_profile(path: str | Path | None) -> Profile:
    """Read a profile.

    Parameters
    ----------
    path : str, Path or None
        A TOML file with the tables `[cpu]` and `[gpu]`, each with fields of `Jobs`, and `wait_s` before them;
        None for the defaults.

    Raises
    ------
    SerabError
        If it cannot be read, or has a field that does not exist or is of the wrong type.
    """
    if path is None:
        return Profile()
    try:
        content = tomllib.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise SerabError(f"{path} is no profile that can be read ({reason}): write a TOML file") from error
    tables = {name: content.pop(name, None) for name in ("cpu", "gpu")}
    wait_s = content.pop("wait_s", Profile.wait_s)
    if content:
        raise unknown_name("field", next(iter(content)), ("cpu", "gpu", "wait_s"), listing="serab run --help")
    if isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or wait_s <= 0:
        raise SerabError(f"{path}: wait_s is {wait_s!r}, expected seconds")
    cpu = _read_jobs(tables["cpu"], Profile.cpu, f"{path}, [cpu]")
    gpu = None if tables["gpu"] is None else _read_jobs(tables["gpu"], Jobs(), f"{path}, [gpu]")
    return Profile(cpu=cpu, gpu=gpu, wait_s=float(wait_s))


def _read_jobs(table: object, defaults: Jobs, where: str) -> Jobs:
    if table is None:
        return defaults
    if not isinstance(table, dict):
        raise SerabError(f"{where} is {table!r}, expected a table")
    known = {field.name: field.type for field in dataclasses.fields(Jobs)}
    values = {}
    for name, value in table.items():
        if name not in known:
            raise unknown_name(f"field in {where}", name, known, listing="serab run --help")
        if known[name].startswith("tuple"):
            fits = isinstance(value, list) and all(isinstance(line, str) and "\n" not in line for line in value)
            value = tuple(value) if fits else value
        elif known[name] == "int":
            fits = isinstance(value, int) and not isinstance(value, bool) and value > 0
        else:
            fits = isinstance(value, str) and value.isprintable()
        if not fits:
            expected = {"int": "a number of 1 or more"}.get(known[name], "text" if "str" in known[name] else "")
            expected = "a list of lines" if known[name].startswith("tuple") else expected
            raise SerabError(f"{where}: {name} is {value!r}, expected {expected}")
        values[name] = value
    return dataclasses.replace(defaults, **values)


def start_slurm(profile: Profile) -> Any:
    """Ask Slurm for the jobs of a profile; return dask-jobqueue's cluster, which ends them when it is closed.

    Raises
    ------
    SerabError
        If dask-jobqueue or Slurm is not installed, or does not take the profile.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise SerabError("dask-jobqueue is not installed: pip install 'serab-companion[dask]'") from error
    try:
        cluster = SLURMCluster(**profile.cpu.options(gpu=False), scheduler_options={"dashboard_address": None})
        # A cluster knows one kind of job; those with a GPU stand in its list before it fills it up with the others.
        jobs = _describe_gpu_jobs(cluster.new_spec, profile.gpu) if profile.gpu else {}
        cluster.worker_spec.update(jobs)
        cluster.scale(jobs=len(jobs) + profile.cpu.n_jobs)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SerabError(f"Slurm did not take the jobs ({reason}): check `sbatch` and the profile") from error
    return cluster


def _describe_gpu_jobs(template: dict[str, Any], jobs: Jobs) -> dict[str, dict[str, Any]]:
    spec = {"cls": template["cls"], "options": {**template["options"], **jobs.options(gpu=True)}}
    if jobs.n_processes > 1:
        spec["group"] = [f"-{number}" for number in range(jobs.n_processes)]
    return {f"gpu-{number}": spec for number in range(jobs.n_jobs)}
