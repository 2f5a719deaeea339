# syntax=docker/dockerfile:1.9
# A worker of a region, without and with CUDA.
#   docker build -f deploy/docker/worker.Dockerfile --target cpu  -t REGISTRY/antiphon/worker:VERSION .
#   docker build -f deploy/docker/worker.Dockerfile --target cuda -t REGISTRY/antiphon/worker:VERSION-cuda .

FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force

# onnxruntime's libraries for CUDA are not part of its package: its own script fetches them, checked against its list.
FROM packages AS packages-cuda
RUN node node_modules/onnxruntime-node/script/install.js --onnxruntime-node-install=cuda12

FROM node:24.21.0-bookworm-slim AS cpu
# The engine for transcripts where no Whisper is installed.
RUN apt-get update \
  && apt-get install -y --no-install-recommends pocketsphinx pocketsphinx-en-us \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE THIRD_PARTY.md ./
COPY shared ./shared
COPY regions ./regions
USER 1000:1000
EXPOSE 9090
# Each worker has a name of its own: its host's, unless one is given.
CMD ["sh", "-c", "WORKER_ID=${WORKER_ID:-$(hostname)} exec node regions/run-worker.ts"]

FROM nvidia/cuda:12.8.1-cudnn-runtime-ubuntu24.04 AS cuda
RUN apt-get update \
  && apt-get install -y --no-install-recommends pocketsphinx pocketsphinx-en-us ca-certificates \
  && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /app
COPY --from=packages /usr/local/bin/node /usr/local/bin/node
COPY --from=packages-cuda /app/node_modules ./node_modules
COPY package.json LICENSE THIRD_PARTY.md ./
COPY shared ./shared
COPY regions ./regions
USER 1000:1000
EXPOSE 9090
CMD ["sh", "-c", "WORKER_ID=${WORKER_ID:-$(hostname)} exec node regions/run-worker.ts"]
