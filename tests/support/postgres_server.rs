//! A private PostgreSQL on a loopback port, with its data in a temporary folder.

use std::{
    fs::{self, File},
    net::TcpStream,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

use super::process::{Server, binary, free_port};

/// A running server. It ends, and its data goes, when this is dropped.
pub(crate) struct PostgresServer {
    // Before the folder: fields are dropped in order. Nothing while it is stopped.
    server: Mutex<Option<Server>>,
    port: u16,
    setting: &'static str,
    folder: TempDir,
}

impl PostgresServer {
    /// Starts a server, or joins the one that another test of this process is using.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<PostgresServer>> = Mutex::new(Weak::new());

        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    /// Starts a private server for this test. It does not sync to disk, since no test cuts the power.
    pub(crate) fn start() -> Self {
        Self::start_with("fsync=off")
    }

    /// Starts a server that is as careful as one by default.
    pub(crate) fn careful() -> Self {
        Self::start_with("fsync=on")
    }

    fn start_with(setting: &'static str) -> Self {
        let folder = TempDir::with_prefix("tower-webhooks-postgres-").expect("a temporary folder");
        let data = folder.path().join("data");
        let owner = Owner::find();
        owner.give(folder.path());

        let mut init = owner.command("initdb");
        init.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]);
        let output = init.arg(&data).current_dir(folder.path()).output().expect("initdb runs");
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));

        let port = free_port();
        let server = Mutex::new(Some(Self::run(folder.path(), port, setting)));
        Self { server, port, setting, folder }
    }

    fn run(folder: &Path, port: u16, setting: &str) -> Server {
        let (data, log) = (folder.join("data"), folder.join("log"));
        let mut run = Owner::find().command("postgres");
        run.arg("-D").arg(&data).current_dir(folder);
        for setting in [
            &format!("port={port}"),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            setting,
            "max_connections=400",
        ] {
            run.args(["-c", setting]);
        }
        let file = File::create(&log).expect("a log file");
        run.stdout(file.try_clone().expect("a second handle")).stderr(file);
        // SIGINT is PostgreSQL's fast shutdown: it does not wait for clients.
        let mut server = Server::start(run, "INT");
        for _ in 0..400 {
            server.assert_running(&log);
            let ready = fs::read_to_string(&log).is_ok_and(|log| log.contains("ready to accept connections"));
            if ready && TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return server;
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("PostgreSQL is not ready after 10 s: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// Creates an empty database and returns its URL.
    pub(crate) async fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);

        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the server answers");
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut connection)
            .await
            .expect("a database is created");
        self.url(&name)
    }

    /// Returns the address on which the server listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&self, name: &str) {
        let server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.as_ref().expect("the server runs").signal(name);
    }

    /// Ends the server. Its data stays.
    pub(crate) fn stop(&self) {
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Starts the server again after [`stop`](Self::stop), on its port.
    pub(crate) fn start_again(&self) {
        let server = Self::run(self.folder.path(), self.port, self.setting);
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    /// Starts a PgBouncer in front of the server, which assigns connections per transaction, and returns its port.
    pub(crate) fn transaction_pooler(&self) -> (Server, u16) {
        let port = free_port();
        let folder = self.folder.path().join(format!("pooler-{port}"));
        fs::create_dir(&folder).expect("a folder for the pooler");
        let owner = Owner::find();
        owner.give(&folder);
        let (config, log) = (folder.join("pgbouncer.ini"), folder.join("log"));
        let lines = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n",
            self.port
        );
        fs::write(&config, lines).expect("a configuration file");

        let mut run = owner.command_in("pgbouncer", &["/usr/sbin".into()], "apt-get install pgbouncer");
        let file = File::create(&log).expect("a log file");
        run.arg(&config).stdout(file.try_clone().expect("a second handle")).stderr(file);
        let mut server = Server::start(run, "TERM");
        for _ in 0..400 {
            server.assert_running(&log);
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, port);
            }
            thread::sleep(Duration::from_millis(25));
        }
        panic!("PgBouncer is not ready after 10 s: {}", fs::read_to_string(&log).unwrap_or_default());
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }
}

/// Who runs the server: PostgreSQL refuses to be run by root.
struct Owner {
    unprivileged: Option<(u32, u32)>,
}

impl Owner {
    fn find() -> Self {
        let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let unprivileged = root.then(|| {
            let line = passwd.lines().find(|line| line.starts_with("postgres:")).unwrap_or_else(|| {
                panic!("this test runs as root and needs the user `postgres`: {INSTALL}");
            });
            let mut ids = line.split(':').skip(2).map(|id| id.parse().expect("ids are numbers"));
            (ids.next().expect("a user id"), ids.next().expect("a group id"))
        });
        Self { unprivileged }
    }

    fn give(&self, folder: &Path) {
        if let Some((user, group)) = self.unprivileged {
            chown(folder, Some(user), Some(group)).expect("root may give a folder away");
        }
    }

    fn command(&self, name: &str) -> Command {
        self.command_in(name, &versions(), INSTALL)
    }

    fn command_in(&self, name: &str, more: &[PathBuf], install: &str) -> Command {
        let binary = binary(name, more, install);
        match self.unprivileged {
            None => Command::new(binary),
            Some((user, group)) => {
                // `setpriv` becomes the command, so the child's id is the server's.
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups", "--"]);
                command.arg(binary);
                command
            }
        }
    }
}

/// Debian keeps the server's binaries out of `PATH`.
fn versions() -> Vec<PathBuf> {
    let folder = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = folder.map(|version| version.path().join("bin")).collect();
    versions.sort();
    versions.reverse();
    versions
}

const INSTALL: &str = "apt-get install postgresql";
