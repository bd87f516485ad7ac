"""The configurations that the data plane's bench runs: one file for ours and Envoy, the nearest equivalents of nginx and haproxy."""
import resource

ENVOY = "type.googleapis.com/envoy."
NETWORK = ENVOY + "extensions.filters.network."
TLS = ENVOY + "extensions.transport_sockets.tls.v3."


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def typed(name, kind, **fields):
    return {"name": name, "typed_config": {"@type": kind, **fields}}


def common_tls(tls, alpn):
    out = {"tls_certificates": [{"certificate_chain": {"filename": tls.cert}, "private_key": {"filename": tls.key}}]}
    if alpn:
        out["alpn_protocols"] = alpn
    return out


def server_socket(tls, is_mutual, alpn):
    common = common_tls(tls, alpn)
    if is_mutual:
        common["validation_context"] = {"trusted_ca": {"filename": tls.ca}}
    return typed("envoy.transport_sockets.tls", TLS + "DownstreamTlsContext", common_tls_context=common, require_client_certificate=is_mutual)


def client_socket(tls, alpn):
    common = common_tls(tls, alpn)
    common["validation_context"] = {"trusted_ca": {"filename": tls.ca}}
    return typed("envoy.transport_sockets.tls", TLS + "UpstreamTlsContext", common_tls_context=common, sni="localhost")


def cluster(name, port, is_h2=False, socket=None):
    out = {"name": name, "type": "STATIC", "connect_timeout": "5s", "load_assignment": {
        "cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}]}}
    # The bench asks for more than Envoy's default of 1024 connections and requests.
    out["circuit_breakers"] = {"thresholds": [{"max_connections": 100000, "max_requests": 100000, "max_pending_requests": 100000}]}
    if is_h2:
        out["typed_extension_protocol_options"] = {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": ENVOY + "extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}
    if socket:
        out["transport_socket"] = socket
    return out


ACCESS_LOG = {
    "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%",
    "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%", "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "bytes_received": "%BYTES_RECEIVED%", "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%", "authority": "%REQ(:AUTHORITY)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%", "user_agent": "%REQ(USER-AGENT)%", "request_id": "%REQ(X-REQUEST-ID)%",
    "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%", "route_name": "%ROUTE_NAME%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%", "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%", "requested_server_name": "%REQUESTED_SERVER_NAME%"}


def manager(log=None, filters=(), direction=None):
    fields = {"stat_prefix": "in", "codec_type": "AUTO",
              "http_filters": [*filters, typed("envoy.filters.http.router", ENVOY + "extensions.filters.http.router.v3.Router")],
              "route_config": {"name": "all", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}]}}
    if log:
        fields["access_log"] = [typed("envoy.access_loggers.file", ENVOY + "extensions.access_loggers.file.v3.FileAccessLog",
                                      path=log, log_format={"json_format": ACCESS_LOG})]
        fields["tracing"] = {"random_sampling": {"value": 1}, "provider": typed(
            "envoy.tracers.zipkin", ENVOY + "config.trace.v3.ZipkinConfig", collector_cluster="collector",
            collector_endpoint="/api/v2/spans", collector_endpoint_version="HTTP_JSON", trace_id_128bit=True, shared_span_context=False)}
        fields["generate_request_id"] = True
    return typed("envoy.filters.network.http_connection_manager", NETWORK + "http_connection_manager.v3.HttpConnectionManager", **fields)


def proxy(port, admin, clusters, filters, socket=None, node=None):
    chain = {"filters": filters}
    if socket:
        chain["transport_socket"] = socket
    listener = {"name": "in", "address": address(port), "filter_chains": [chain]}
    out = {"admin": {"address": address(admin)}, "static_resources": {"listeners": [listener], "clusters": clusters}}
    if node:
        out["node"] = node
    return out


def forwarding(port, admin, backend, tls=None, is_mutual=False, is_h2=False):
    socket = server_socket(tls, is_mutual, ["h2", "http/1.1"]) if tls else None
    return proxy(port, admin, [cluster("backend", backend, is_h2)], [manager()], socket)


def tcp(port, admin, backend):
    relay = typed("envoy.filters.network.tcp_proxy", NETWORK + "tcp_proxy.v3.TcpProxy", stat_prefix="in", cluster="backend")
    return proxy(port, admin, [cluster("backend", backend)], [relay])


ISTIO_STATS = [typed("istio.stats", "type.googleapis.com/stats.PluginConfig")]


def sidecars(port, middle, admins, backend, collector, tls, logs, has_istio_stats):
    """The client's and the server's proxy: plain, then mTLS, then plain; access log, metrics and trace context in both."""
    filters = ISTIO_STATS if has_istio_stats else []
    spans = cluster("collector", collector)
    node = lambda side: {"id": f"sidecar~10.0.0.{side}~app-{side}.default~default.svc.cluster.local", "cluster": f"app-{side}.default"}
    client = proxy(port, admins[0], [cluster("backend", middle, socket=client_socket(tls, ["http/1.1"])), spans], [manager(logs[0], filters)], node=node(1))
    server = proxy(middle, admins[1], [cluster("backend", backend), spans], [manager(logs[1], filters)], server_socket(tls, True, ["http/1.1"]), node=node(2))
    return client, server


def discovered(port, admin, control, backend):
    """Clusters and endpoints by ADS; one static listener."""
    out = proxy(port, admin, [cluster("backend", backend), cluster("xds", control, is_h2=True)], [manager()])
    out["node"] = {"id": "bench", "cluster": "bench"}
    ads = {"ads": {}, "resource_api_version": "V3"}
    out["dynamic_resources"] = {"cds_config": ads, "ads_config": {
        "api_type": "DELTA_GRPC", "transport_api_version": "V3", "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}]}}
    return out


NGINX = """
daemon off; worker_processes {workers}; pid {folder}/{name}.pid; error_log {folder}/{name}.err; 
events {{ worker_connections 19000; }}
http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; types {{}}
  client_body_temp_path {folder}/{name}1; proxy_temp_path {folder}/{name}2; fastcgi_temp_path {folder}/{name}3; uwsgi_temp_path {folder}/{name}4; scgi_temp_path {folder}/{name}5;
  {http} }}
"""


def nginx_conf(folder, name, http, workers=1):
    return NGINX.format(folder=folder, name=name, http=http, workers=workers)


def nginx_backend(folder, port, root):
    """100 B from memory; the larger bodies are files."""
    return nginx_conf(folder, "backend", f"""sendfile on; open_file_cache max=10; open_file_cache_valid 1h;
  server {{ listen 127.0.0.1:{port} backlog=8192; root {root};
    location = / {{ return 200 "{'x' * 100}"; }} location / {{ }} }}""")


def nginx_forwarding(folder, port, backend, tls=None, is_mutual=False, is_h2=False, is_grpc=False):
    flags = (" ssl" if tls else "") + (" http2" if is_h2 else "")
    secure = f"ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {tls.cert}; ssl_certificate_key {tls.key};" if tls else ""
    if is_mutual:
        secure += f" ssl_client_certificate {tls.ca}; ssl_verify_client on;"
    way = "grpc_pass grpc://backend;" if is_grpc else 'proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";'
    return nginx_conf(folder, "nginx", f"""http2_max_concurrent_streams 1000;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port}{flags} backlog=8192; {secure} location / {{ {way} }} }}""")


def nginx_clusters(folder, port, count, backend, workers):
    pools = "\n".join(f"upstream service-{i} {{ " + " ".join(f"server 10.{i >> 8 & 255}.{i & 255}.{j + 1}:8080;" for j in range(10)) + " }" for i in range(count))
    return nginx_conf(folder, "nginx", f"{pools}\nserver {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{backend}; }} }}", workers)


CONNECTIONS = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 100  # what haproxy accepts with so many descriptors
HAPROXY = """
global
  nbthread {workers}
  maxconn {connections}
defaults
  mode {mode}
  timeout client 3600s
  timeout server 3600s
  timeout connect 5s
{rest}
"""


def haproxy_forwarding(port, backend, tls=None, is_mutual=False, is_h2=False, is_tcp=False):
    bind = f"bind 127.0.0.1:{port} backlog 8192"
    if tls:
        bind += f" ssl crt {tls.both} alpn h2,http/1.1" + (f" ca-file {tls.ca} verify required" if is_mutual else "")
    reuse = "" if is_tcp else "  http-reuse always\n"
    return HAPROXY.format(connections=CONNECTIONS, workers=1, mode="tcp" if is_tcp else "http", rest=f"""frontend in
  {bind}
  default_backend out
backend out
{reuse}  server one 127.0.0.1:{backend}{' proto h2' if is_h2 else ''}""")


def haproxy_clusters(port, count, backend, workers):
    pools = "\n".join(f"backend service-{i}\n" + "\n".join(f"  server s{j} 10.{i >> 8 & 255}.{i & 255}.{j + 1}:8080" for j in range(10)) for i in range(count))
    return HAPROXY.format(connections=CONNECTIONS, workers=workers, mode="http", rest=f"frontend in\n  bind 127.0.0.1:{port}\n  default_backend out\nbackend out\n  server one 127.0.0.1:{backend}\n{pools}")
