// Restart replaces itself by a new process while it serves, and no client
// notices: SIGHUP starts the program anew with the listening socket, and when
// that is ready, the old process drains. It also takes its socket from systemd
// (examples/cluster/systemd).
//
//	go run ./examples/restart
//	curl http://127.0.0.1:8080/        # answers with the process id
//	kill -HUP <process id>
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/h1go/h1"
	"github.com/h1go/h1/handover"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on, unless the socket is inherited")
	delay := flag.Duration("ready-delay", 0, "how long to go on once asked to stop, for load balancers to notice")
	minIdle := flag.Duration("min-idle", 0, "how long an idle connection is kept through a drain; 0: the default")
	flag.Parse()

	srv := &h1.Server{KeepAlive: h1.KeepAlive{MinIdle: *minIdle}}
	mux := http.NewServeMux()
	mux.Handle("GET /ready", srv.ReadyHandler())
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, os.Getpid()) })
	srv.Handler = mux

	l, err := handover.Listen("web", "tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	ask := make(chan os.Signal, 1)
	signal.Notify(ask, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	fmt.Printf("listening on http://%s\n", l.Addr())
	if err := handover.Ready(); err != nil {
		log.Print(err)
	}
	for {
		select {
		case err := <-served:
			log.Fatal(err)
		case why := <-ask:
			if why == syscall.SIGHUP && !replace(l) {
				continue
			}
		}
		break
	}
	if err := drain(srv, *delay); err != nil {
		log.Fatal(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

// replace starts the next process; this one goes on when that fails.
func replace(l net.Listener) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	next, err := handover.Start(ctx, handover.Socket{Name: "web", Listener: l})
	if err != nil {
		log.Print(err)
		return false
	}
	fmt.Printf("process %d took over\n", next.Pid)
	return true
}

func drain(srv *h1.Server, delay time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), delay+20*time.Second)
	defer cancel()
	report, err := srv.Drain(ctx, h1.DrainOptions{ReadyDelay: delay})
	fmt.Printf("stopped: %d told, %d idle, %d finished, %d cut, in %v\n",
		report.Told, report.Idle, report.Finished, report.Cut, report.Took.Round(time.Millisecond))
	return err
}
