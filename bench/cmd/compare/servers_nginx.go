package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

var nginxServer = server{
	name:    "nginx",
	note:    "nginx as installed: one process, static answers",
	lacks:   []task{taskEcho},
	command: startNginx,
}

// nginxConfig keeps everything in one process and in one folder, and never ends a connection by count or time.
const nginxConfig = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile %[2]d;
events { worker_connections %[2]d; }
http {
	access_log off;
	sendfile on;
	open_file_cache max=8;
	keepalive_requests 1000000000;
	keepalive_timeout 1h;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	default_type "%[3]s";
	server {
		listen %[4]s %[5]s backlog=4096;
		%[6]s
		location / { %[7]s }
	}
}
`

func startNginx(ctx context.Context, s *settings, w work, overTLS bool) (*child, string, error) {
	if _, err := exec.LookPath("nginx"); err != nil {
		return nil, "", fmt.Errorf("nginx is not installed here: %w", err)
	}
	addr, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	dir, err := os.MkdirTemp(s.scratch, "nginx")
	if err != nil {
		return nil, "", err
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := writeNginxConfig(file, dir, addr, s.scratch, w, overTLS); err != nil {
		return nil, "", err
	}
	c, err := start(ctx, s.measureCPU, "nginx", "-e", "stderr", "-c", file)
	if err != nil {
		return nil, "", err
	}
	if err := awaitListener(addr, patience); err != nil {
		c.stop()
		return nil, "", fmt.Errorf("nginx: %w: %s", err, lastLines(c.said.String()))
	}
	return c, addr, nil
}

func writeNginxConfig(file, dir, addr, certificate string, w work, overTLS bool) error {
	limit, err := raiseOpenFiles()
	if err != nil {
		return err
	}
	answer := fmt.Sprintf("return 200 %q;", smallBody)
	if w.task == taskLarge {
		if err := os.WriteFile(filepath.Join(dir, "large"), largeBody, 0o644); err != nil {
			return err
		}
		answer = fmt.Sprintf("root %s; try_files /large =404;", dir)
	}
	ssl, pair := "", ""
	if overTLS {
		ssl = "ssl"
		pair = fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s;", filepath.Join(certificate, certFile), filepath.Join(certificate, keyFile))
	}
	text := fmt.Sprintf(nginxConfig, dir, limit, contentType, addr, ssl, pair, answer)
	return os.WriteFile(file, []byte(text), 0o644)
}

// loopback is the address of a local port.
func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }
