# One image for every role; ROLES says what a container is. Debian, because the PostgreSQL of npm needs glibc.
FROM node:24-bookworm-slim

# setpriv (util-linux) lets the kernel end every ffmpeg with its node. npm brings an ffmpeg for x64 alone.
# rsync, with ssh, is for packagers whose files come that way.
ARG TARGETARCH=amd64
RUN set -eux; \
    command -v setpriv; \
    apt-get update; \
    apt-get install -y --no-install-recommends rsync openssh-client; \
    if [ "$TARGETARCH" != amd64 ]; then apt-get install -y --no-install-recommends ffmpeg; fi; \
    rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The image has its own Node 24: the one from npm is left out.
RUN npm ci --omit=dev --no-audit --no-fund && rm -rf node_modules/node-linux-* node_modules/.bin/node && npm cache clean --force
COPY . .

RUN install -d -o node -g node -m 0700 /data /keys
ENV NODE_ENV=production HOST=0.0.0.0 DATA_DIR=/data LOG_FORMAT=json
USER node
# One per container, never shared: a node's name and what its streamers remember lie in it.
VOLUME /data
EXPOSE 8080 8081 8082 8070 5000
CMD ["node", "start.mjs"]
