# shellcheck shell=bash
# Sourced by the scripts here that start and stop programs in the background. Each is known by a name and leaves
# $D/NAME.pid and $D/NAME.log. A pid file says also when the process started, so that a file which outlived its process
# (a reboot, a reused id) never points at somebody else's.

# born PID: when it started, in clock ticks since boot; false for what is gone, or waits for its parent to notice
born() {
  local stat
  { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
  # What follows the command's name, which may itself hold spaces and parentheses. The first field is the state: that of
  # the first thread, while others may still be about to end and hold their sockets open.
  read -ra stat <<<"${stat##*) }"
  [ "${stat[0]}" != Z ] || [ "${stat[17]}" -gt 1 ] || return 1
  echo "${stat[19]}"
}

# running NAME: prints its process id; false when it does not run
running() {
  local pid when
  { read -r pid when <"$D/$1.pid"; } 2>/dev/null || return 1
  [ "$(born "$pid")" = "$when" ] && echo "$pid"
}

# start NAME COMMAND...: in a session of its own, so that a terminal's Ctrl-C passes it by; logs are appended
start() {
  local name=$1 pid
  shift
  # What it makes for others, such as the files of a container's root, must not take over our umask.
  (umask 022 && exec setsid "$@") >>"$D/$name.log" 2>&1 </dev/null &
  pid=$!
  echo "$pid $(born "$pid")" >"$D/$name.pid"
}

# stop SIGNAL NAME...: sends it to all of them, waits 5 s, then kills; what does not run is passed over
stop() {
  local signal=$1 name pid tries
  shift
  for name in "$@"; do
    if pid=$(running "$name"); then kill "-$signal" "$pid" 2>/dev/null || true; fi
  done
  for name in "$@"; do
    tries=0
    while pid=$(running "$name"); do
      tries=$((tries + 1))
      [ "$tries" -ne 100 ] || kill -KILL "$pid" 2>/dev/null || true
      [ "$tries" -le 200 ] || { echo "$name ($pid) does not end" >&2; break; }
      sleep 0.05
    done
    rm -f "$D/$name.pid"
  done
}

# fail MESSAGE NAME: says it, with the end of NAME's log
fail() {
  echo "$1" >&2
  tail -n 8 "$D/$2.log" >&2 || true
  exit 1
}

# milliseconds since START (of date +%s%N)
since() { echo "$((($(date +%s%N) - $1) / 1000000)) ms"; }
