//! Private instances of real reverse proxies, from the installed binaries, each with its files in a temporary folder.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::process::{Server, binary, free_port};

/// A proxy, with one way to set it up. All pass `/hooks/` on to two receivers, but for Apache and Varnish, which pass it to the
/// first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setup {
    Apache,
    /// With `nocanon` and similar options, which leave a URL unchanged.
    ApacheExact,
    Caddy,
    HaProxy,
    Lighttpd,
    /// Without the normalisation of URLs.
    LighttpdExact,
    /// Without a URI in `proxy_pass`.
    Nginx,
    /// With another prefix than that of the location.
    NginxWithPrefix,
    /// With the same prefix.
    NginxWithUri,
    Varnish,
}

/// A running proxy. It ends, and its files go, when this is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    // Before the folder: fields are dropped in order.
    _server: Server,
    _folder: TempDir,
}

impl Proxy {
    /// Starts a proxy in front of these receivers, and waits until it listens.
    pub(crate) fn start(setup: Setup, receivers: [SocketAddr; 2]) -> Self {
        let folder = TempDir::with_prefix("tower-webhooks-proxy-").expect("a temporary folder");
        let port = free_port();
        let command = command(setup, port, receivers, folder.path());
        let log = folder.path().join("output");
        let file = File::create(&log).expect("a log file");
        let mut command = command;
        command.current_dir(folder.path()).stdout(file.try_clone().expect("a second handle")).stderr(file);
        let mut server = Server::start(command, "TERM");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        for _ in 0..1200 {
            server.assert_running(&log);
            if TcpStream::connect(address).is_ok() {
                return Self { address, _server: server, _folder: folder };
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("{setup:?} is not ready after 30 s: {}", fs::read_to_string(&log).unwrap_or_default());
    }
}

fn command(setup: Setup, port: u16, [first, second]: [SocketAddr; 2], folder: &Path) -> Command {
    let path = folder.display();
    // As root, a proxy would give up its rights, and could not use the folder.
    let is_root = user() == "root";
    let (program, package, config, arguments): (_, _, String, &[&str]) = match setup {
        Setup::Apache | Setup::ApacheExact => {
            let (exact, nocanon) = match setup {
                Setup::ApacheExact => ("AllowEncodedSlashes NoDecode\nMergeSlashes Off\n", " nocanon"),
                _ => ("", ""),
            };
            let user = if is_root { "User www-data\nGroup www-data\n" } else { "" };
            let modules = "/usr/lib/apache2/modules";
            let config = format!(
                "ServerRoot {path}\nDefaultRuntimeDir {path}\nPidFile {path}/pid\nErrorLog {path}/error.log\n\
                 Listen 127.0.0.1:{port}\nServerName localhost\n{user}\
                 LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
                 LoadModule authz_core_module {modules}/mod_authz_core.so\n\
                 LoadModule proxy_module {modules}/mod_proxy.so\n\
                 LoadModule proxy_http_module {modules}/mod_proxy_http.so\n\
                 {exact}ProxyPass \"/hooks/\" \"http://{first}/hooks/\"{nocanon}\n"
            );
            ("apache2", "apache2", config, &["-DFOREGROUND", "-f"])
        }
        Setup::Caddy => {
            let config = format!(
                "{{\n admin off\n auto_https off\n storage file_system {path}\n}}\n\
                 http://:{port} {{\n bind 127.0.0.1\n reverse_proxy {first} {second}\n}}\n"
            );
            ("caddy", "caddy", config, &["run", "--adapter", "caddyfile", "--config"])
        }
        Setup::HaProxy => {
            let config = format!(
                "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
                 frontend webhooks\n bind 127.0.0.1:{port}\n default_backend receivers\n\
                 backend receivers\n server a {first}\n server b {second}\n"
            );
            ("haproxy", "haproxy", config, &["-db", "-f"])
        }
        Setup::Lighttpd | Setup::LighttpdExact => {
            let exact = match setup {
                Setup::LighttpdExact => "server.http-parseopts = (\"url-normalize\" => \"disable\")\n",
                _ => "",
            };
            let host = |at: SocketAddr| format!("(\"host\" => \"{}\", \"port\" => {})", at.ip(), at.port());
            let config = format!(
                "server.document-root = \"{path}\"\nserver.bind = \"127.0.0.1\"\nserver.port = {port}\n\
                 server.errorlog = \"{path}/error.log\"\nserver.upload-dirs = (\"{path}\")\n\
                 server.modules = (\"mod_proxy\")\n{exact}\
                 proxy.server = (\"/hooks/\" => ({}, {}))\n",
                host(first),
                host(second)
            );
            ("lighttpd", "lighttpd", config, &["-D", "-f"])
        }
        Setup::Nginx | Setup::NginxWithPrefix | Setup::NginxWithUri => {
            let uri = match setup {
                Setup::NginxWithPrefix => "/inner/",
                Setup::NginxWithUri => "/hooks/",
                _ => "",
            };
            let user = if is_root { "user root;" } else { "" };
            let config = format!(
                "daemon off; {user} pid {path}/pid; error_log {path}/error.log; worker_processes 1;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{\n access_log off; client_body_temp_path {path}/body; proxy_temp_path {path}/proxy;\n\
                 fastcgi_temp_path {path}/fastcgi; uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;\n\
                 client_max_body_size 25m;\n\
                 upstream receivers {{ server {first}; server {second}; }}\n\
                 server {{ listen 127.0.0.1:{port}; location /hooks/ {{ proxy_pass http://receivers{uri}; }} }}\n}}\n"
            );
            ("nginx", "nginx-light", config, &["-c"])
        }
        Setup::Varnish => {
            let (host, to) = (first.ip(), first.port());
            let config = format!("vcl 4.1;\nbackend default {{ .host = \"{host}\"; .port = \"{to}\"; }}\n");
            ("varnishd", "varnish", config, &[])
        }
    };
    let file = folder.join("config");
    fs::write(&file, config).expect("the folder can be written");
    let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    let mut command = Command::new(binary(program, &sbin, &format!("apt-get install {package}")));
    if setup == Setup::Varnish {
        command
            .arg("-F")
            .arg("-a")
            .arg(format!("127.0.0.1:{port}"))
            .arg("-f")
            .arg(&file)
            .arg("-n")
            .arg(folder.join("work"));
        command.args(["-s", "malloc,32m", "-j", "none", "-T", "none"]);
    } else {
        command.args(arguments).arg(&file);
    }
    if setup == Setup::Caddy {
        command.env("HOME", folder).env("XDG_CONFIG_HOME", folder).env("XDG_DATA_HOME", folder);
    }
    command
}

fn user() -> String {
    let output = Command::new("id").arg("-un").output().expect("`id` runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
