# syntax=docker/dockerfile:1
# Two targets of one recipe:
#   docker build --target cpu -t beauty-rec:cpu .
#   docker build --target gpu -t beauty-rec:gpu .
# The GPU image needs the NVIDIA container toolkit on the host; CUDA itself comes with torch.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DAGSTER_HOME=/opt/beauty_rec/home \
    BEAUTY_REC_DATA_DIR=/data \
    BEAUTY_REC_LOGS=/data/logs \
    BEAUTY_REC_RECORDS=/data/dagster
# LightGBM reads the system's OpenMP library; its order may be the one that is served.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 shop \
    && install -d -o shop -g shop /data "$DAGSTER_HOME"
WORKDIR /opt/beauty_rec/app
COPY pyproject.toml constraints.txt README.md LICENSE ./

# Dependencies first: they change less often than the code, so their layer is kept.
FROM base AS cpu-packages
RUN pip install --extra-index-url https://download.pytorch.org/whl/cpu \
        -c constraints.txt "torch==2.13.0+cpu"
FROM cpu-packages AS cpu-code
COPY beauty_rec beauty_rec
RUN pip install -c constraints.txt '.[deploy,cluster]'

FROM base AS gpu-packages
RUN pip install -c constraints.txt torch
FROM gpu-packages AS gpu-code
COPY beauty_rec beauty_rec
RUN pip install -c constraints.txt '.[deploy,cluster]'

FROM cpu-code AS cpu
COPY --chown=shop:shop deploy/dagster.yaml ${DAGSTER_HOME}/dagster.yaml
COPY --chown=shop:shop deploy/workspace.yaml ./workspace.yaml
USER 1000:1000
VOLUME /data
EXPOSE 3000 4000
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "beauty_rec.definitions"]

FROM gpu-code AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --chown=shop:shop deploy/dagster.yaml ${DAGSTER_HOME}/dagster.yaml
COPY --chown=shop:shop deploy/workspace.yaml ./workspace.yaml
USER 1000:1000
VOLUME /data
EXPOSE 3000 4000
CMD ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", "4000", "-m", "beauty_rec.definitions"]
