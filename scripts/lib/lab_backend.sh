# The lab's backends: an nginx each that names itself, and decapsulation.
# shellcheck shell=bash

LAB_BIG_BYTES=3000000

backend_up() {
  local host=$1 dir=$LAB_DIR/$1
  process_stop_session "$dir/nginx.lab-pid" "$(lab_ns "$host")"
  mkdir -p "$dir/www" "$dir/tmp"
  printf '%s\n' "$host" >"$dir/www/small"
  # Told apart by its first bytes; the same everywhere otherwise.
  { printf '%s\n' "$host"; head -c $((LAB_BIG_BYTES - ${#host} - 1)) /dev/zero | tr '\0' x; } >"$dir/www/big"
  backend_nginx_conf "$host" "$dir" >"$dir/nginx.conf"
  in_host "$host" nginx -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf" 9>&-
  process_write "$dir/nginx.lab-pid" "$(<"$dir/nginx.pid")"
}

# `/`: name and both addresses as the backend sees them. Every answer has the header X-Backend.
backend_nginx_conf() {
  cat <<END
user root;
worker_processes 1;
pid $2/nginx.pid;
error_log $2/error.log warn;
events { worker_connections 8192; }
http {
  log_format lab '\$msec \$remote_addr \$remote_port \$server_addr \$server_port "\$request" \$status \$body_bytes_sent';
  access_log $2/access.log lab;
  client_body_temp_path $2/tmp/body; proxy_temp_path $2/tmp/proxy; fastcgi_temp_path $2/tmp/fastcgi;
  uwsgi_temp_path $2/tmp/uwsgi; scgi_temp_path $2/tmp/scgi;
  client_max_body_size 64m;
  default_type text/plain;
  add_header X-Backend $1 always;
  server {
    listen 80 backlog=4096; listen [::]:80 backlog=4096; listen 8080; listen [::]:8080;
    root $2/www;
    location = / { return 200 "$1 client \$remote_addr port \$remote_port at \$server_addr\n"; }
    # The body of a POST is read to its end, then answered with its length.
    location = /post { return 200 "$1 \$content_length\n"; }
    location = /health { return 200 "ok\n"; access_log off; }
  }
}
END
}

backend_down() {
  if lab_exists "$1" && ! process_alive "$LAB_DIR/$1/nginx.lab-pid"; then
    process_stop_session "$LAB_DIR/$1/nginx.lab-pid" "$(lab_ns "$1")"
  fi
  process_stop "$LAB_DIR/$1/nginx.lab-pid" "nginx of $1"
}

# The real address of the backend answers from the router, over both families.
backend_ready() {
  local family
  for family in 4 6; do
    local address
    address=$(lab_address "$1/eth0" $family)
    [[ $family == 6 ]] && address="[$address]"
    in_host r curl -sf -m 2 "http://$address/health" || return 1
  done
}

# Undoes ipip on what comes from lbd, for the VIPs. Without a kernel module: a program on the interface.
backend_decap() {
  local arguments=() vip node
  for node in "${LAB_NODES[@]}"; do
    arguments+=(--from "$(lab_address "$node/lan" 4)/32" --from "$(lab_address "$node/lan" 6)/128")
  done
  for vip in "${LAB_VIPS[@]}"; do arguments+=(--vip "$vip"); done
  in_host "$1" "$LAB_LBCTL" decap attach eth0 "${arguments[@]}"
}
