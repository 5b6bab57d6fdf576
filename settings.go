package h1

// This file is what connections are configured with, once every default is in
// its place.

import (
	"sync/atomic"
	"time"
)

// settings are what all connections of one Server or Transport share. They
// are made once and only read from then on, the drain excepted.
type settings struct {
	policy policy
	limits limits
	coding codingSet

	headTime  time.Duration // from a request's first octet to its head's end; 0: none
	readTime  time.Duration // from a request's first octet to its body's end; 0: none
	writeTime time.Duration // for one answer, from its head; 0: none

	readPace, writePace pacing // how a body has to come, and a message to be taken
	stalls              pacing // the same, but only silence is limited

	readBuffer, writeBuffer int // the least that is lent; 0: the least there is

	drain *atomic.Pointer[drainPlan] // how connections at levelDrain are closed; nil: there are none

	observe func(ConnEvent, ConnInfo) // may be nil
}

// Defaults of the waits that have no field of their own in KeepAlive.
const (
	// defaultHeadTime is Apache's RequestReadTimeout header=20; nginx waits 60 s.
	defaultHeadTime = 20 * time.Second
	// defaultStallTime is nginx's client_body_timeout and send_timeout: between
	// two reads or two writes, not for the whole.
	defaultStallTime = 60 * time.Second
)

// ConnConfig is how a Conn behaves when it is used without a Server or a
// Transport. The zero value, and a nil pointer, mean the defaults.
type ConnConfig struct {
	KeepAlive KeepAlive // how long and how often the connection is used
	Limits    Limits    // what the peer may make this end hold or read

	// ReadHeaderTimeout is the time from a request's first octet to the end of
	// its head. Zero means 20 s (Apache RequestReadTimeout header=20), negative
	// none. It does not apply to a client.
	ReadHeaderTimeout time.Duration

	// StallTimeout is how long one read of a body or one write may go without
	// any progress. Zero means 60 s on a server (nginx client_body_timeout,
	// send_timeout) and none on a client; negative means none. A peer that makes
	// progress too slowly is Limits.MinReadRate's and MinWriteRate's business.
	StallTimeout time.Duration

	// TransferCodings names the transfer codings besides chunked that this end
	// decodes and, where the peer takes them, applies: "gzip", "deflate", or
	// one registered by RegisterTransferCoding. Empty means none.
	TransferCodings []string

	// OnConn, when not nil, is told of each step in the connection's life. It
	// is called by the goroutine that uses the connection and has to return
	// soon.
	OnConn func(ConnEvent, ConnInfo)
}

func (cfg *ConnConfig) resolve(role Role) (*settings, error) {
	if cfg == nil {
		cfg = &ConnConfig{}
	}
	codings, err := newCodingSet(cfg.TransferCodings)
	if err != nil {
		return nil, err
	}
	set := &settings{
		policy:   cfg.KeepAlive.resolve(role == ClientRole),
		limits:   cfg.Limits.resolve(),
		coding:   codings,
		headTime: pick(cfg.ReadHeaderTimeout, defaultHeadTime, 0),
		drain:    new(atomic.Pointer[drainPlan]),
		observe:  cfg.OnConn,
	}
	stall, rate := pick(cfg.StallTimeout, defaultStallTime, 0), defaultRate
	if role == ClientRole {
		set.headTime, stall, rate = 0, max(cfg.StallTimeout, 0), 0
	} else if stall == 0 {
		rate = 0 // who lets a peer be silent for ever lets it be slow
	}
	set.readPace = cfg.Limits.MinReadRate.pacing(stall, rate)
	set.writePace = cfg.Limits.MinWriteRate.pacing(stall, rate)
	set.stalls = Rate{BytesPerSecond: -1}.pacing(stall, rate)
	return set, nil
}
