# The local stack for the scripts beside this one, which source it and have gone to the root of the repository.
# start_stack sets port, url, panel_url, admin, user, service, stack (its pid), work and log; stop_stack ends the stack,
# and stack_has_stopped sees that nothing is left of it.

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Starts it as a newcomer would, on free ports and with the options given; it ends with the script that started it.
start_stack() {
  local _
  port=$(free_port) db_port=$(free_port) panel_port=$(free_port)
  work=$(mktemp -d) && log="$work/stack.log"
  cargo build --quiet --locked --example local
  target/debug/examples/local --port "$port" --db-port "$db_port" --panel-port "$panel_port" "$@" >"$log" 2>&1 &
  stack=$!
  trap 'kill "$stack" 2>/dev/null || true; rm -rf "$work"' EXIT
  for _ in $(seq 600); do
    grep -q 'Ctrl-C ends it' "$log" && break
    kill -0 "$stack" 2>/dev/null || { cat "$log"; echo "the stack did not start"; exit 1; }
    sleep 0.5
  done
  grep -q 'Ctrl-C ends it' "$log" || { cat "$log"; echo "the stack did not start in time"; exit 1; }
  url="http://127.0.0.1:$port" panel_url="http://127.0.0.1:$panel_port"
  admin=$(sed -n 's/^  ADMIN=//p' "$log")
  user=$(sed -n 's/^  USER=//p' "$log")
  service=$(sed -n 's/^  SERVICE=//p' "$log")
}

stop_stack() {
  kill -INT "$stack"
  stack_has_stopped
}

stack_has_stopped() {
  local each
  wait "$stack" || { echo "the stack did not stop well"; cat "$log"; exit 1; }
  for each in "$port" "$db_port" "$panel_port"; do
    if curl -s --max-time 2 "http://127.0.0.1:$each"; then echo "something was left running"; exit 1; fi
  done
  echo "the stack has stopped and left nothing running"
}
