package buf

// Window is the octets that were read from a connection and not yet used.
// The zero Window is empty and holds no memory.
//
// Its layout is [ free | pinned | used | unread | room ]. Pinned octets do
// not move until Unpin, so slices into them stay good; growing leaves the old
// array to whoever holds slices of it.
type Window struct {
	Least int // the size of the first buffer, when that is more than Small

	b        []byte
	pin, end int // pinned: b[pin:end]; pin == end when nothing is pinned
	r, w     int // unread: b[r:w]; end <= r
}

// Bytes are the unread octets. They are good until the next Room, Release or
// Unpin.
func (v *Window) Bytes() []byte { return v.b[v.r:v.w] }

// Len is the number of unread octets.
func (v *Window) Len() int { return v.w - v.r }

// Advance marks n unread octets as used.
func (v *Window) Advance(n int) {
	v.r += n
	if v.r > v.w {
		panic("buf: advanced past the unread octets")
	}
}

// Pin uses n unread octets and keeps them in place until Unpin.
func (v *Window) Pin(n int) {
	v.pin = v.r
	v.Advance(n)
	v.end = v.r
}

// Pinned are the pinned octets.
func (v *Window) Pinned() []byte { return v.b[v.pin:v.end] }

// PinnedWith are the pinned octets together with the first n unread ones, of
// which none was used since Pin.
func (v *Window) PinnedWith(n int) []byte {
	if v.r != v.end || n > v.w-v.r {
		panic("buf: what was asked for does not follow the pinned octets")
	}
	return v.b[v.pin : v.end+n]
}

// Unpin ends the life of the pinned octets. Under the build tag h1poison they
// are overwritten, so that whoever still reads them shows.
func (v *Window) Unpin() {
	poison(v.b[v.pin:v.end])
	v.pin, v.end = 0, 0
}

// Room is free space of at least min octets behind the unread ones, to be
// read into and then told of with Filled. It moves unread octets down to the
// pinned ones when that is enough, and takes a larger buffer when it is not.
func (v *Window) Room(min int) []byte {
	if len(v.b)-v.w >= min {
		return v.b[v.w:]
	}
	unread := v.w - v.r
	if v.b != nil && len(v.b)-v.end-unread >= min {
		copy(v.b[v.end:], v.b[v.r:v.w])
		v.r, v.w = v.end, v.end+unread
		return v.b[v.w:]
	}
	v.grow(v.end - v.pin + unread + min)
	return v.b[v.w:]
}

// grow moves pinned and unread octets to a buffer of at least n.
func (v *Window) grow(n int) {
	b := get(max(n, v.Least))
	pinned := copy(b, v.b[v.pin:v.end])
	w := pinned + copy(b[pinned:], v.b[v.r:v.w])
	if v.b != nil && pinned == 0 {
		put(v.b)
	}
	v.b, v.pin, v.end, v.r, v.w = b, 0, pinned, pinned, w
}

// Filled tells that n octets were read into Room.
func (v *Window) Filled(n int) {
	v.w += n
	if v.w > len(v.b) {
		panic("buf: filled past the room")
	}
}

// Take moves the unread octets out of the window, as a copy.
func (v *Window) Take() []byte {
	b := append([]byte(nil), v.Bytes()...)
	v.r = v.w
	return b
}

// Release gives an empty, unpinned window's memory back. A window that still
// holds octets keeps them.
func (v *Window) Release() {
	if v.b == nil || v.r != v.w || v.pin != v.end {
		return
	}
	put(v.b)
	*v = Window{Least: v.Least}
}

// Drop forgets all octets and gives the memory back, pinned or not; lent
// tells that slices of it may still be held, so that it is left to the
// collector instead.
func (v *Window) Drop(lent bool) {
	if v.b != nil && !lent {
		put(v.b)
	}
	*v = Window{Least: v.Least}
}
