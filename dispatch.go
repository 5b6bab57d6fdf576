package h1

// This file hands woken connections to the goroutines that serve them. The
// goroutines are kept for a while, as their stacks have grown to what handlers
// need.
//
// One goroutine serves one woken connection after the other. Before it begins
// with one, and others are waiting, it makes sure that another goroutine is on
// its way, which takes them should the handler block. So a burst costs one
// wake-up and not one each, and no connection waits behind another's handler.
//
// When a goroutine has served all there were, it looks for more itself: under
// load the next batch is there by then, and costs no switch of goroutines.

import (
	"sync"

	"github.com/h1go/h1/internal/poll"
)

// dispatcher is the queue of woken connections and the goroutines that serve
// them. All servers of a process share one.
type dispatcher struct {
	mu      sync.Mutex
	queue   []*Conn // from first on
	first   int
	resting []chan struct{} // one for each goroutine that has nothing to do; newest last
	coming  bool            // a goroutine was called and has not looked at the queue yet
	from    *poll.Poller    // where more may be found; nil until it is known
}

// woken is the process's dispatcher.
var woken dispatcher

// maxResting is how many goroutines are kept with nothing to do. Past that a
// burst of blocking handlers leaves none behind.
const maxResting = 64

// maxServed is how many connections a goroutine serves before it rests for a
// moment, so that the runtime gets to look at all else that waits.
const maxServed = 64

// looksAt tells where those who serve may look for more; p may be nil.
func (d *dispatcher) looksAt(p *poll.Poller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.from = p
}

// submit puts woken connections in line, and calls a goroutine for them.
func (d *dispatcher) submit(batch []poll.Waiter) {
	d.mu.Lock()
	d.enqueue(batch)
	call := d.call()
	d.mu.Unlock()
	call.start(d)
}

// add is submit for who is going to serve them.
func (d *dispatcher) add(batch []poll.Waiter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.enqueue(batch)
}

// enqueue puts woken connections in line; mu is held.
func (d *dispatcher) enqueue(batch []poll.Waiter) {
	if d.first > 0 && len(d.queue)+len(batch) > cap(d.queue) { // room at the front comes before growing
		n := copy(d.queue, d.queue[d.first:])
		clear(d.queue[n:])
		d.queue, d.first = d.queue[:n], 0
	}
	for _, w := range batch {
		d.queue = append(d.queue, (*Conn)(w.(*parked)))
	}
}

// called is a goroutine to be started or woken, once mu is free.
type called struct {
	bell chan struct{} // of one that rests; nil: a new one
	any  bool
}

// call picks a goroutine when there is work and none is on its way; mu is held.
func (d *dispatcher) call() called {
	if d.coming || d.first == len(d.queue) {
		return called{}
	}
	d.coming = true
	n := len(d.resting)
	if n == 0 {
		return called{any: true}
	}
	bell := d.resting[n-1]
	d.resting = d.resting[:n-1]
	return called{any: true, bell: bell}
}

func (c called) start(d *dispatcher) {
	switch {
	case !c.any:
	case c.bell != nil:
		c.bell <- struct{}{}
	default:
		go d.work()
	}
}

// work serves until there is nothing to do and enough others rest.
func (d *dispatcher) work() {
	bell := make(chan struct{}, 1)
	d.mu.Lock()
	d.coming = false
	for served := 0; ; {
		if d.first == len(d.queue) {
			d.queue, d.first = d.queue[:0], 0
			if served > 0 && served < maxServed && d.more() {
				continue
			}
			if len(d.resting) >= maxResting {
				d.mu.Unlock()
				return
			}
			d.resting = append(d.resting, bell)
			d.mu.Unlock()
			<-bell
			d.mu.Lock()
			d.coming, served = false, 0
			continue
		}
		c := d.queue[d.first]
		d.queue[d.first] = nil
		d.first++
		served++
		next := d.call()
		d.mu.Unlock()
		next.start(d)
		c.pk.owner.resume()
		d.mu.Lock()
	}
}

// more looks for woken connections that the poller has not yet told of; mu is
// held, but not all the time.
func (d *dispatcher) more() bool {
	from := d.from
	if from == nil {
		return false
	}
	d.mu.Unlock()
	from.Look(d.add)
	d.mu.Lock()
	return d.first < len(d.queue)
}
