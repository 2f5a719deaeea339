# syntax=docker/dockerfile:1.9
# The API and the keeper of a region; which of the two runs, the command says.
#   docker build -f deploy/docker/api.Dockerfile -t REGISTRY/antiphon/api:VERSION .

FROM node:24.21.0-bookworm-slim AS packages
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What a package would run when it is installed is not needed here, and not trusted.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && npm cache clean --force

FROM node:24.21.0-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
# The authorities that RDS's certificates are signed by; NODE_EXTRA_CA_CERTS names the file.
ADD --chmod=0444 https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem /etc/ssl/certs/rds.pem
COPY --from=packages /app/node_modules ./node_modules
COPY package.json LICENSE THIRD_PARTY.md ./
COPY shared ./shared
COPY regions ./regions
USER 1000:1000
EXPOSE 8080
CMD ["node", "regions/serve-api.ts"]
