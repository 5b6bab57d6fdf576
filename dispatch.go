package h1

// This file hands woken connections to the goroutines that serve them. The
// goroutines are kept for a while, as their stacks have grown to what handlers
// need.
//
// One goroutine serves one woken connection after the other. Before it begins
// with one, and others are waiting, it makes sure that another goroutine is on
// its way, which takes them should the handler block. So a burst costs one
// wake-up and not one each, and no connection waits behind another's handler.

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
}

// woken is the process's dispatcher.
var woken dispatcher

// maxResting is how many goroutines are kept with nothing to do. Past that a
// burst of blocking handlers leaves none behind.
const maxResting = 64

// submit puts woken connections in line.
func (d *dispatcher) submit(batch []poll.Waiter) {
	d.mu.Lock()
	if d.first > 0 && len(d.queue)+len(batch) > cap(d.queue) { // room at the front comes before growing
		n := copy(d.queue, d.queue[d.first:])
		clear(d.queue[n:])
		d.queue, d.first = d.queue[:n], 0
	}
	for _, w := range batch {
		d.queue = append(d.queue, (*Conn)(w.(*parked)))
	}
	call := d.call()
	d.mu.Unlock()
	call.start(d)
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
	for {
		if d.first == len(d.queue) {
			d.queue, d.first = d.queue[:0], 0
			if len(d.resting) >= maxResting {
				d.mu.Unlock()
				return
			}
			d.resting = append(d.resting, bell)
			d.mu.Unlock()
			<-bell
			d.mu.Lock()
			d.coming = false
			continue
		}
		c := d.queue[d.first]
		d.queue[d.first] = nil
		d.first++
		next := d.call()
		d.mu.Unlock()
		next.start(d)
		c.pk.owner.resume()
		d.mu.Lock()
	}
}
