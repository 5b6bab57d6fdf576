package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/h1go/h1"
)

// diary writes down what happens to connections.
type diary struct {
	began time.Time
	took  time.Duration  // to fetch everything
	open  sync.WaitGroup // as many as connections are open

	mu      sync.Mutex
	entries []entry
}

type entry struct {
	at    time.Duration
	event h1.ConnEvent
	conn  h1.ConnInfo
}

// note is an OnConn hook.
func (d *diary) note(e h1.ConnEvent, c h1.ConnInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry{time.Since(d.began), e, c})
	switch e {
	case h1.EventOpened:
		d.open.Add(1)
	case h1.EventClosed:
		d.open.Done()
	}
}

// row puts the ends of all connections together.
func (d *diary) row() string {
	conns, octets := 0, int64(0)
	requests, reasons := map[string]bool{}, map[string]bool{}
	for _, e := range d.entries {
		if e.event == h1.EventClosed {
			conns++
			octets += e.conn.BytesIn
			requests[fmt.Sprint(e.conn.Requests)] = true
			reasons[e.conn.Reason.Explain()] = true
		}
	}
	return fmt.Sprintf("%s\t%d\t%s\t%d\t%s", millis(d.took), conns, keys(requests), octets, keys(reasons))
}

func keys(set map[string]bool) string {
	return strings.Join(slices.Sorted(maps.Keys(set)), " or ")
}

// trace prints the life of the diary's only connection; paths are what was
// asked for, in turn.
func (d *diary) trace(paths []string) {
	var before h1.ConnInfo
	for _, e := range d.entries {
		c, event, text := &e.conn, e.event.String(), ""
		switch e.event {
		case h1.EventOpened:
			text = fmt.Sprintf("from %v to %v", c.Local, c.Remote)
		case h1.EventRequest:
			if event = "reused"; c.Requests == 1 {
				event = "used"
			}
			text = fmt.Sprintf("for request %d of %d, GET %s", c.Requests, len(paths), paths[c.Requests-1])
		case h1.EventIdle:
			text = fmt.Sprintf("after answer %d with %d octets", c.Requests, c.BytesIn-before.BytesIn)
		case h1.EventClosed:
			text = fmt.Sprintf("because %s, after %d requests", c.Reason.Explain(), c.Requests)
		}
		fmt.Printf("%12s  %-8s %s\n", millis(e.at), event, text)
		before = *c
	}
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", d.Seconds()*1000) }
