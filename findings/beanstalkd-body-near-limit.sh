#!/usr/bin/env bash
# beanstalkd accepts a job of up to 65,535 bytes, but its log on disk is read with a limit that counts two more bytes
# (the CR LF behind the body). After a restart a job of 65,534 or 65,535 bytes, and every job written after it, is gone.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -qq -o APT::Sandbox::User=root beanstalkd=1.12-2+b1 >/dev/null
dpkg-deb -x beanstalkd_*.deb root
root/usr/bin/beanstalkd -v

cat > probe.py <<'PY'
import os, shutil, socket, subprocess, time

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = free.getsockname()[1]

def start():
    server = subprocess.Popen(["root/usr/bin/beanstalkd", "-l", "127.0.0.1", "-p", str(PORT), "-b", "log"], stderr=subprocess.DEVNULL)
    for _ in range(100):
        try:
            return server, socket.create_connection(("127.0.0.1", PORT), timeout=10)
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")

def ask(connection, line, body=None):
    connection.sendall(line.encode() + b"\r\n" + (body + b"\r\n" if body is not None else b""))
    with connection.makefile("rb") as answer:
        return answer.readline().decode().split()[0]

for size in (65533, 65534, 65535):
    os.mkdir("log")
    server, connection = start()
    stored = [ask(connection, f"put 1 0 60 {n}", b"x" * n) for n in (10, size, 10, 10)]
    connection.close()
    server.terminate()
    server.wait()
    server, connection = start()
    found = []
    for job in (1, 2, 3, 4):
        connection.close()
        connection = socket.create_connection(("127.0.0.1", PORT), timeout=10)
        found.append(ask(connection, f"peek {job}"))
    server.terminate()
    server.wait()
    shutil.rmtree("log")
    print(size, *stored, "| after a restart:", *found)
PY
python3 probe.py | tee seen
diff - seen <<'END'
65533 INSERTED INSERTED INSERTED INSERTED | after a restart: FOUND FOUND FOUND FOUND
65534 INSERTED INSERTED INSERTED INSERTED | after a restart: FOUND NOT_FOUND NOT_FOUND NOT_FOUND
65535 INSERTED INSERTED INSERTED INSERTED | after a restart: FOUND NOT_FOUND NOT_FOUND NOT_FOUND
END
