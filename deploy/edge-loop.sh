#!/bin/sh
# The prefix in one container: nginx, its log to intake each minute, its hosts each five. Ends with nginx.
set -u
every=${ROTATE_EVERY_S:-60}

earshot edge render || exit 1
nginx -e "$EARSHOT_DATA/edge/log/error.log" -c "$EARSHOT_DATA/edge/current/nginx.conf" -g 'daemon off;' &
server=$!
ending=
# Connections that are open are served to their end.
trap 'ending=1; kill -QUIT $server 2>/dev/null' TERM INT QUIT

turn=0
while [ -z "$ending" ] && kill -0 $server 2>/dev/null; do
  sleep "$every" &
  wait $!
  [ -n "$ending" ] && break
  # What fails is told, and tried again at the next turn; no line is lost meanwhile.
  earshot edge rotate || true
  turn=$((turn + 1))
  [ $((turn % 5)) -eq 0 ] && { earshot edge render || true; }
done

while kill -0 $server 2>/dev/null; do wait $server; done
wait $server
status=$?
earshot edge rotate # the last lines
# Asked to end: that is no failure. Else whoever supervises us starts us again.
[ -n "$ending" ] && exit 0
exit "$status"
