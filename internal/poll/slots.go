package poll

// slot is where an event finds its handle.
type slot struct {
	h    *Handle
	w    Waiter
	gen  uint32
	next uint32 // of the slots that nobody has: one more than the next of them; 0: the last
}

// table is all slots of a poller. It grows by pages, so that a slot never moves:
// a table that is copied to grow leaves several times its size as garbage, while
// connections wait for the lock.
type table struct {
	pages []*[pageSize]slot
	made  uint32
	free  uint32 // one more than the first that nobody has; 0: none
	used  int
}

// pageSize makes a page 8 KiB.
const pageSize = 256

// at is the slot of that number; nil when there is none.
func (t *table) at(i uint32) *slot {
	if i >= t.made {
		return nil
	}
	return &t.pages[i/pageSize][i%pageSize]
}

// take gives a slot that nobody has, under a generation that it did not have yet.
func (t *table) take(h *Handle, w Waiter) {
	if t.free != 0 {
		h.slot = t.free - 1
		t.free = t.at(h.slot).next
	} else {
		if t.made%pageSize == 0 {
			t.pages = append(t.pages, new([pageSize]slot))
		}
		h.slot = t.made
		t.made++
	}
	s := t.at(h.slot)
	*s = slot{h: h, w: w, gen: s.gen + 1}
	h.gen, h.added = s.gen, true
	t.used++
}

// giveBack ends what take began.
func (t *table) giveBack(h *Handle) {
	h.added = false
	*t.at(h.slot) = slot{gen: h.gen, next: t.free}
	t.free = h.slot + 1
	t.used--
}
