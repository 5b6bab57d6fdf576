package h1

// This file is how a Transport is observed: its counts, and its log.

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"slices"
	"time"
)

// TransportStats are a Transport's counts at one moment, consistent with each
// other. The JSON names are stable.
type TransportStats struct {
	// Total is over all hosts since the Transport was made, those that are not
	// listed any more too. It names no host.
	Total HostStats `json:"total"`

	// Hosts are those that have connections, and of the others the 1024 that had
	// one last, in order of Host, Scheme and Proxy.
	Hosts []HostStats `json:"hosts"`
}

// HostStats are the counts of what shares connections: a scheme and address, by
// the same proxy. Open is Idle, Busy and Dialing; Dials is Open, Failed and all
// of Closed.
type HostStats struct {
	Scheme string `json:"scheme,omitempty"`
	Host   string `json:"host,omitempty"`  // with its port; empty for all that an HTTP proxy is asked for over http
	Proxy  string `json:"proxy,omitempty"` // its URL, without credentials

	Open    int64 `json:"open"`    // connections now, and those being made
	Idle    int64 `json:"idle"`    // of these, those that wait for a request
	Busy    int64 `json:"busy"`    // those with a request, or whose answer's rest is being dropped
	Dialing int64 `json:"dialing"` // those being made
	Waiting int64 `json:"waiting"` // requests that wait for a connection

	Dials    int64 `json:"dials"`     // connections begun to be made so far
	Failed   int64 `json:"failed"`    // those that did not come about
	Requests int64 `json:"requests"`  // exchanges begun so far
	Reuses   int64 `json:"reuses"`    // of these, those that were not their connection's first
	Resent   int64 `json:"resent"`    // requests whose connection was lost, and that were sent again
	BytesIn  int64 `json:"bytes_in"`  // octets read, TLS taken off
	BytesOut int64 `json:"bytes_out"` // octets written, before TLS

	// IdleLimit is the idle age at which the server closes connections, as far as
	// that was learned; zero: it has closed none. It is not told in Total.
	IdleLimit time.Duration `json:"idle_limit"`

	// Closed is how many connections ended, and why.
	Closed CloseCounts `json:"closed"`
}

// poolCounts are what an origin remembers of its connections, beside those that
// are open; the pool's mu guards them.
type poolCounts struct {
	dials, failed               int64
	requests, reuses, resent    int64
	bytesIn, bytesOut           int64
	idle, busy, dialing, queued int64 // only in what Stats sums up
	limit                       time.Duration
	closed                      closeTally
}

// carried takes over what a connection has counted.
func (n *poolCounts) carried(c *Conn) {
	requests := c.m.requests.Load()
	n.requests += requests
	n.reuses += max(requests-1, 0)
	n.bytesIn += c.bytesIn.Load()
	n.bytesOut += c.bytesOut.Load()
}

func (n *poolCounts) add(m *poolCounts) {
	n.dials += m.dials
	n.failed += m.failed
	n.requests += m.requests
	n.reuses += m.reuses
	n.resent += m.resent
	n.bytesIn += m.bytesIn
	n.bytesOut += m.bytesOut
	n.idle += m.idle
	n.busy += m.busy
	n.dialing += m.dialing
	n.queued += m.queued
	for reason, ended := range m.closed {
		n.closed[reason] += ended
	}
}

func (n *poolCounts) stats(key originKey) HostStats {
	return HostStats{
		Scheme: key.scheme, Host: key.addr, Proxy: withoutCredentials(key.proxy),
		Open: n.idle + n.busy + n.dialing, Idle: n.idle, Busy: n.busy, Dialing: n.dialing, Waiting: n.queued,
		Dials: n.dials, Failed: n.failed, Requests: n.requests, Reuses: n.reuses, Resent: n.resent, IdleLimit: n.limit,
		BytesIn: n.bytesIn, BytesOut: n.bytesOut, Closed: n.closed.counts(),
	}
}

// withoutCredentials is a URL as others may see it.
func withoutCredentials(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}

// Stats counts connections and what went through them since the Transport was
// made. It looks at each open connection.
func (t *Transport) Stats() TransportStats {
	total, origins := t.pool.tally()
	st := TransportStats{Total: total.stats(originKey{}), Hosts: make([]HostStats, 0, len(origins))}
	for key, n := range origins {
		st.Hosts = append(st.Hosts, n.stats(key))
	}
	slices.SortFunc(st.Hosts, func(a, b HostStats) int {
		return cmp.Or(cmp.Compare(a.Host, b.Host), cmp.Compare(a.Scheme, b.Scheme), cmp.Compare(a.Proxy, b.Proxy))
	})
	return st
}

// tally sums up what was counted.
func (p *pool) tally() (total *poolCounts, origins map[originKey]*poolCounts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := p.gone
	total, origins = &gone, make(map[originKey]*poolCounts, len(p.origins))
	for key, o := range p.origins {
		n := o.count
		n.idle, n.dialing, n.queued = int64(o.idle.n), int64(o.dialing), int64(o.waiting.Len())
		n.busy = int64(o.open) - n.idle - n.dialing
		n.limit = o.limit.age
		origins[key] = &n
	}
	for pc := range p.all {
		origins[pc.origin.key].carried(pc.c)
	}
	for _, n := range origins {
		total.add(n)
	}
	return total, origins
}

// log says what happened, when somebody wants to know.
func (t *Transport) log(what string, attrs func() []slog.Attr) {
	if t.Logger != nil && t.Logger.Enabled(context.Background(), slog.LevelDebug) {
		t.Logger.LogAttrs(context.Background(), slog.LevelDebug, what, attrs()...)
	}
}

// logConn says what happened to a connection.
func (t *Transport) logConn(what string, key originKey, c *Conn) {
	t.log(what, func() []slog.Attr {
		return []slog.Attr{slog.String("host", key.where()), slog.Any("conn", c.Info())}
	})
}

// logDialFailed says that a connection did not come about.
func (t *Transport) logDialFailed(key originKey, err error) {
	t.log("h1: dial failed", func() []slog.Attr {
		return []slog.Attr{slog.String("host", key.where()), slog.String("error", err.Error())}
	})
}

// logResent says that a lost request is sent again.
func (t *Transport) logResent(r *trip, err error) {
	t.log("h1: request sent again", func() []slog.Attr {
		return []slog.Attr{slog.String("host", r.origin.hop()), slog.String("method", r.req.Method), slog.String("error", err.Error())}
	})
}
