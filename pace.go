package h1

// This file is the account of a slow peer: how long it may be waited for, given
// what it has moved so far. It asks no clock; read.go and slow.go tell it how
// long a wait took and how many octets it brought.

import (
	"math"
	"time"
)

// Rate is the least rate at which a peer has to move the octets of a message,
// averaged over its course: a slow but steady peer is waited for, a trickle is
// not (Kestrel MinRequestBodyDataRate, Apache RequestReadTimeout's MinRate).
//
// A peer begins with Grace, and each octet it moves buys it a BytesPerSecond-th
// of a second more, up to StallTimeout in store. Only the time that is spent
// waiting for the peer counts against it, not the time a handler takes.
type Rate struct {
	// BytesPerSecond is the rate. Default on a server 240 (Kestrel; Apache 500),
	// on a client none, and none where StallTimeout is none; negative means none.
	BytesPerSecond int

	// Grace is how long a peer may move nothing at first. Default 20 s (Apache
	// body=20; Kestrel 5 s), StallTimeout when that is less; negative means 1 s,
	// the least.
	Grace time.Duration
}

// Defaults of a Rate.
const (
	defaultRate  = 240
	defaultGrace = 20 * time.Second
)

// longestStore is what a peer can have in store where there is no stall limit.
const longestStore = 24 * time.Hour

// pacing is a Rate together with a stall limit, every default in its place.
type pacing struct {
	perSecond int64         // 0: any octet makes good for all
	start     time.Duration // the store at the beginning
	most      time.Duration // what the store is limited to
}

// pacing joins the rate with a stall limit; 0 is none.
func (r Rate) pacing(stall time.Duration, standard int) pacing {
	p := pacing{perSecond: int64(pick(r.BytesPerSecond, standard, 0)), most: stall}
	if stall <= 0 {
		p.most = never
	}
	if p.perSecond == 0 {
		p.start = p.most
		return p
	}
	p.most = min(p.most, longestStore)
	p.start = min(pick(r.Grace, defaultGrace, time.Second), p.most)
	return p
}

// endless tells whether any wait is borne.
func (r *pacing) endless() bool { return r.start == never }

// pace is a peer's account for one body. The zero value is that of a body about
// to begin.
type pace struct {
	spent time.Duration // of the store at the beginning; below zero: saved beyond it
}

// left is how long the peer may be waited for without an octet; 0 or less: it
// has been too slow. It is never where there is no limit.
func (p *pace) left(r *pacing) time.Duration {
	if r.endless() {
		return never
	}
	return r.start - p.spent
}

// spend takes the time of a wait from the store.
func (p *pace) spend(took time.Duration) { p.spent += took }

// earn adds to the store what n octets are worth.
func (p *pace) earn(n int64, r *pacing) {
	if n <= 0 || r.endless() {
		return
	}
	full := r.start - r.most
	if r.perSecond == 0 || n > math.MaxInt64/int64(time.Second) {
		p.spent = full
		return
	}
	p.spent = max(p.spent-time.Duration(n*int64(time.Second)/r.perSecond), full)
}
