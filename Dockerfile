# r1ray with everything that a node of a cluster needs.
#
#   docker build -t r1ray .                                                              CPU
#   docker build -t r1ray:cuda --build-arg LOCK=locks/cuda.txt --build-arg TORCH_INDEX= .  CUDA
#   docker run --rm --shm-size=4g -v "$PWD/runs:/r1ray/runs" r1ray                       the default job
#
# Ray keeps its objects in shared memory, of which a container has 64 MiB unless --shm-size says more.
FROM python:3.11-slim-bookworm

ARG LOCK=locks/cpu.txt
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# g++: DeepSpeed compiles its shared-memory collectives when several ranks share a CPU node. git: runs record the commit.
# rsync, openssh-client: `ray up` syncs files with them.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make openssh-client procps rsync \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /r1ray

# Dependencies before code: they change rarely, and their layer is kept.
COPY locks ./locks
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} --no-deps "$(grep '^torch==' "$LOCK")" \
    && pip install --no-cache-dir --no-deps -r "$LOCK"

COPY pyproject.toml README.md LICENSE ./
COPY r1ray ./r1ray
COPY jobs ./jobs
RUN pip install --no-cache-dir --no-deps -e .

CMD ["python", "jobs/ppo.py"]
