#!/usr/bin/env bash
# Runs an S3 server in the foreground, on 127.0.0.1: start.sh s3proxy|s3mock DATA_DIR PORT
# s3proxy checks signatures (S3_ACCESS_KEY, S3_SECRET_KEY); S3Mock does not, but has tags, storage classes and versions.
# The jars come from Maven once and stay in CASTELLAN_CACHE (the user's cache folder unless set). Needs Java 17 and Maven.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 3 ] || { sed -n 2p "$0" >&2; exit 64; }
kind=$1 port=$3
case $kind in s3proxy | s3mock) ;; *) echo "there is no server $kind" >&2; exit 64 ;; esac
lib=${CASTELLAN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/castellan}/$kind
mkdir -p "$lib" "$2/buckets"
data=$(cd "$2" && pwd)

java_major() { "$1" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p'; }
java=""
for found in ${JAVA_HOME:+"$JAVA_HOME/bin/java"} "$(command -v java || true)" /usr/lib/jvm/*/bin/java; do
  if [ -x "$found" ] && [ "$(java_major "$found")" -ge 17 ]; then java=$found; break; fi
done
[ -n "$java" ] || { echo "there is no Java 17 or newer" >&2; exit 1; }

# The stamp is written last, so that a broken download is done again; two runs at once wait for each other.
stamp=$lib/.complete-$(cksum <"$here/pom.xml" | tr -d ' ')
exec 9>"$lib/.lock"
flock 9
if [ ! -e "$stamp" ]; then
  rm -f "${lib:?}"/*.jar "$lib"/.complete-*
  mvn -B -q -ntp -f "$here/pom.xml" -P "$kind" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$lib" >&2
  : >"$stamp"
fi
exec 9>&-

args=(-Xmx512m -XX:TieredStopAtLevel=1)
if [ "$kind" = s3proxy ]; then
  # Without a logback.xml it logs DEBUG: gigabytes in minutes.
  cat >"$data/logback.xml" <<'XML'
<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level %logger{0} %msg%n</pattern></encoder>
  </appender>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
XML
  cat >"$data/s3proxy.properties" <<PROPERTIES
s3proxy.endpoint=http://127.0.0.1:$port
s3proxy.authorization=aws-v2-or-v4
s3proxy.identity=${S3_ACCESS_KEY:-local-identity}
s3proxy.credential=${S3_SECRET_KEY:-local-credential}
jclouds.provider=filesystem-nio2
jclouds.filesystem.basedir=$data/buckets
PROPERTIES
  args+=(-Dlogback.configurationFile="$data/logback.xml" -cp "$lib/*"
    org.gaul.s3proxy.Main --properties "$data/s3proxy.properties")
else
  # http.port is a second connector, which always listens on every interface; 0 hides it on a random port.
  args+=(-jar "$(echo "$lib"/s3mock-*-exec.jar)" --server.ssl.enabled=false --server.address=127.0.0.1
    --server.port="$port" --http.port=0 --logging.level.root=WARN --com.adobe.testing.s3mock.store.root="$data/buckets")
fi
cd "$data"
exec "$java" "${args[@]}" </dev/null
