//go:build !linux && !darwin && !dragonfly && !freebsd && !netbsd && !openbsd

package poll

// system is for systems without a poller of this package: connections wait in
// a goroutine each.
type system struct{}

func (*system) open() error                             { return ErrUnsupported }
func (*system) add(uintptr, uint32, uint32, bool) error { return ErrUnsupported }
func (*system) arm(uintptr, uint32, uint32, bool) error { return ErrUnsupported }
func (*system) del(uintptr)                             {}
func (*system) run(*Poller)                             {}
